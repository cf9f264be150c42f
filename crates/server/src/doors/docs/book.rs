//! A page of the book as HTML.
use super::{Page, html, page_of};
use pulldown_cmark::{CowStr, Event, LinkType, Options, Parser, Tag, TagEnd};

pub(super) fn rendered(page: &Page) -> String {
    let folder = page.name.rsplit_once('/').map_or("", |(folder, _)| folder);
    let up = "../".repeat(page.name.matches('/').count());
    let parser = Parser::new_ext(page.text, Options::ENABLE_TABLES);
    // What stands in HTML is for the tests, and a link that leads out of the book is only its words.
    let mut links = Vec::new();
    let events = parser.filter_map(|event| match event {
        Event::Html(_) | Event::InlineHtml(_) => None,
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            let dest_url = target(folder, &dest_url);
            links.push(dest_url.is_some());
            dest_url.map(|dest_url| Event::Start(link(link_type, dest_url.into(), title, id)))
        }
        Event::End(TagEnd::Link) => links.pop().unwrap_or(false).then_some(Event::End(TagEnd::Link)),
        event => Some(event),
    });
    let mut content = String::new();
    pulldown_cmark::html::push_html(&mut content, with_ids(events.collect()).into_iter());
    html(page.title, &up, &content)
}

fn link<'a>(link_type: LinkType, dest_url: CowStr<'a>, title: CowStr<'a>, id: CowStr<'a>) -> Tag<'a> {
    Tag::Link { link_type, dest_url, title, id }
}

/// Where a link leads from here, if there is something.
fn target(folder: &str, url: &str) -> Option<String> {
    if url.contains("://") || url.starts_with('#') {
        return Some(url.to_owned());
    }
    let (file, anchor) =
        url.split_once('#').map_or((url, String::new()), |(file, anchor)| (file, format!("#{anchor}")));
    let name = file.strip_suffix(".md")?;
    page_of(&joined(folder, name)).map(|_| format!("{name}{anchor}"))
}

/// A name as seen from a folder.
pub(super) fn joined(folder: &str, name: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in name.split('/') {
        match part {
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Headings get the names that links call them by.
fn with_ids(mut events: Vec<Event<'_>>) -> Vec<Event<'_>> {
    for at in 0..events.len() {
        if !matches!(events[at], Event::Start(Tag::Heading { .. })) {
            continue;
        }
        let inside = events[at..].iter().take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))));
        let text: String = inside
            .filter_map(|event| match event {
                Event::Text(text) | Event::Code(text) => Some(&**text),
                _ => None,
            })
            .collect();
        if let Event::Start(Tag::Heading { id, .. }) = &mut events[at] {
            *id = Some(slug(&text).into());
        }
    }
    events
}

/// As mdBook names them.
fn slug(text: &str) -> String {
    let kept = text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_becomes_html_without_foreign_parts() {
        let text = "# What `it` is\n<!-- test: run -->\n<script>alert(1)</script>\n\n[a](security.md#whom) [b](adr/x.md) [c](https://x.example)\n\n\
                    | a |\n|---|\n| <b> |\n\n```sh\na < b\n```\n";
        let html = rendered(&Page { name: "page", title: "A & B", text });
        assert!(
            html.contains("<title>A &amp; B · Unanim</title>") && html.contains("<h1 id=\"what-it-is\">"),
            "{html}"
        );
        assert!(html.contains("<a href=\"security#whom\">a</a> b <a href=\"https://x.example\">c</a>"), "{html}");
        assert!(html.contains("a &lt; b") && html.contains("<table>"), "{html}");
        assert!(!html.contains("<script") && !html.contains("<!-- test"), "{html}");
    }

    #[test]
    fn names_are_joined_as_paths_are() {
        assert_eq!(joined("errors", "../security"), "security");
        assert_eq!(joined("errors", "closed"), "errors/closed");
        assert_eq!(joined("", "errors/closed"), "errors/closed");
    }
}
