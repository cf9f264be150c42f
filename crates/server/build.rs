//! Lists the pages of the book, in its order, so that the server can show them without a disk or a network.
use std::fmt::Write;
use std::path::Path;
use std::{env, fs, io};

/// Of interest to who changes Unanim, not to who runs it.
const LEFT_OUT: &str = "adr/";

fn main() -> io::Result<()> {
    // As it is now: a checkout may have been moved since this was compiled.
    let here = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
    let docs = Path::new(&here).join("../../docs").canonicalize()?;
    println!("cargo::rerun-if-changed={}", docs.display());
    let summary = fs::read_to_string(docs.join("SUMMARY.md"))?;
    let mut code = String::from("&[\n");
    for line in summary.lines() {
        let Some((title, rest)) =
            line.trim_start().trim_start_matches("- ").strip_prefix('[').and_then(|l| l.split_once("]("))
        else {
            continue;
        };
        let Some(name) = rest.strip_suffix(".md)").filter(|name| !name.starts_with(LEFT_OUT)) else { continue };
        let file = docs.join(format!("{name}.md"));
        println!("cargo::rerun-if-changed={}", file.display());
        let title = title.replace('`', "");
        let _ = writeln!(code, "    Page {{ name: {name:?}, title: {title:?}, text: include_str!({file:?}) }},");
    }
    code.push(']');
    fs::write(Path::new(&env::var("OUT_DIR").map_err(io::Error::other)?).join("pages.rs"), code)
}
