//! `/openapi.json`, `/docs` and the pages of the book: all in the binary, nothing from a network.
mod book;
mod reference;

use crate::app::App;
use crate::http::Reply;
use bytes::Bytes;
use std::cell::RefCell;
use std::collections::HashMap;
use unanim_api::openapi;

/// A page of the book.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// Its file without the suffix: `errors/gid_conflict`.
    pub(super) name: &'static str,
    title: &'static str,
    text: &'static str,
}

/// In the order of the book.
const PAGES: &[Page] = include!(concat!(env!("OUT_DIR"), "/pages.rs"));
const STYLE: &str = include_str!("style.css");
const HTML: &str = "text/html; charset=utf-8";

/// What was put together once.
#[derive(Default)]
pub(crate) struct Shelf(RefCell<HashMap<&'static str, Bytes>>);

impl Shelf {
    fn get(&self, name: &'static str, make: impl FnOnce() -> String) -> Bytes {
        self.0.borrow_mut().entry(name).or_insert_with(|| make().into()).clone()
    }
}

/// The page of this name; a folder is its index.
pub(super) fn page_of(name: &str) -> Option<&'static Page> {
    let index = |page: &Page| page.name.strip_suffix("/index") == Some(name);
    PAGES.iter().find(|page| page.name == name || index(page))
}

/// The OpenAPI document.
pub(super) fn openapi(app: &App) -> Reply {
    Reply::json(hyper::StatusCode::OK, app.shelf.get("/openapi.json", || document(app).to_string()))
}

/// The reference, rendered from that document.
pub(super) fn reference(app: &App) -> Reply {
    Reply::page(HTML, app.shelf.get("/docs", || reference::rendered(&document(app))))
}

/// A page of the book.
pub(super) fn page(app: &App, page: &'static Page) -> Reply {
    Reply::page(HTML, app.shelf.get(page.name, || book::rendered(page)))
}

pub(super) fn style() -> Reply {
    Reply::page("text/css; charset=utf-8", Bytes::from_static(STYLE.as_bytes()))
}

fn document(app: &App) -> serde_json::Value {
    openapi::document(env!("CARGO_PKG_VERSION"), &app.base)
}

/// A whole page; `up` leads from it to `/docs/`.
fn html(title: &str, up: &str, content: &str) -> String {
    let title = escaped(title);
    let mut links = format!("<a href=\"{up}../docs\">API reference</a>");
    for page in PAGES.iter().filter(|page| !page.name.contains('/') || page.name.ends_with("/index")) {
        links.push_str(&format!("\n<a href=\"{up}{}\">{}</a>", page.name, escaped(page.title)));
    }
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title} · Unanim</title>\n\
         <link rel=\"stylesheet\" href=\"{up}style.css\">\n</head>\n<body>\n<nav>\n{links}\n</nav>\n<main>\n{content}</main>\n\
         </body>\n</html>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use unanim_api::ProblemCode;

    #[test]
    fn every_code_has_a_page_with_its_status() {
        for code in ProblemCode::ALL {
            let page = page_of(&format!("errors/{}", code.code())).unwrap_or_else(|| panic!("{}", code.code()));
            assert!(page.text.contains(&format!("**{}**", code.status())), "{}", page.name);
            assert!(page.text.starts_with(&format!("# `{}`", code.code())), "{}", page.name);
        }
        assert_eq!(page_of("errors").map(|page| page.name), Some("errors/index"));
        assert_eq!((page_of(""), page_of("adr/README"), page_of("../Cargo")), (None, None, None));
    }

    #[test]
    fn every_link_of_every_page_leads_somewhere() {
        for page in PAGES {
            let html = book::rendered(page);
            let folder = page.name.rsplit_once('/').map_or("", |(folder, _)| folder);
            for link in html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
                if link.contains("://") || link.ends_with("style.css") || link.ends_with("../docs") {
                    continue;
                }
                let (target, anchor) = link.split_once('#').unwrap_or((link, ""));
                let target = if target.is_empty() { page.name.to_owned() } else { book::joined(folder, target) };
                let there = page_of(&target).unwrap_or_else(|| panic!("{}: {link}", page.name));
                let there = book::rendered(there);
                assert!(anchor.is_empty() || there.contains(&format!("id=\"{anchor}\"")), "{}: {link}", page.name);
            }
        }
    }

    #[test]
    fn what_is_shown_is_escaped() {
        assert_eq!(escaped("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
    }
}
