//! The inner rings are pure, and three things keep them so: what they depend on, what clippy denies them, and a look at
//! their sources for what clippy cannot name.
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const RINGS: [&str; 2] = ["engine", "coordinator"];

fn ring(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("crates/").join(name)
}

/// Everything that a ring is built from, with the features it alone asks for.
fn built_from(ring_name: &str) -> BTreeMap<String, String> {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--edges", "normal,no-proc-macro", "--prefix", "none", "--no-dedupe"])
        .args(["--format", "{p}|{f}", "--package", &format!("unanim-{ring_name}")])
        .current_dir(ring(ring_name))
        .output()
        .expect("cargo runs");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let text = String::from_utf8(tree.stdout).expect("text");
    let lines = text.lines().filter_map(|line| line.split_once('|'));
    lines.map(|(package, features)| (package.split(' ').next().unwrap_or("").into(), features.into())).collect()
}

#[test]
fn a_ring_depends_on_these_and_on_nothing_else() {
    let engine = ["bytes", "serde", "serde_core", "thiserror", "unanim-engine"];
    let coordinator = ["cobs", "hashbrown", "postcard", "siphasher", "unanim-coordinator"];
    let found: Vec<String> = built_from("engine").into_keys().collect();
    assert_eq!(found, engine);
    let found: Vec<String> = built_from("coordinator").into_keys().collect();
    let mut allowed = [&engine[..], &coordinator].concat();
    allowed.sort_unstable();
    assert_eq!(found, allowed, "no clock, no thread, no runtime, no randomness");
}

#[test]
fn hash_maps_have_no_default_hasher() {
    assert_eq!(built_from("coordinator")["hashbrown"], "", "its default hasher is random; the key is an argument");
}

#[test]
fn clippy_denies_what_is_not_pure() {
    let of = |name| fs::read_to_string(ring(name).join("clippy.toml")).expect("a clippy.toml of its own");
    let denied = of("engine");
    assert_eq!(denied, of("coordinator"), "both rings are held to the same");
    let (types, rest) = denied.split_once("disallowed-methods").expect("methods");
    let (methods, macros) = rest.split_once("disallowed-macros").expect("macros");
    let has = |part: &str, paths: &[&str]| {
        for path in paths {
            assert!(part.contains(&format!("{{ path = \"{path}\",")), "{path} is not denied");
        }
    };
    has(types, &["std::time::Instant", "std::time::SystemTime"]);
    has(types, &["std::collections::HashMap", "std::collections::HashSet", "std::hash::RandomState"]);
    has(types, &["std::sync::Mutex", "std::sync::RwLock", "std::sync::Condvar", "std::sync::OnceLock"]);
    has(types, &["std::sync::mpsc::Sender", "std::thread::JoinHandle"]);
    has(methods, &["std::time::Instant::now", "std::time::SystemTime::now", "std::env::var", "std::fs::File::open"]);
    has(methods, &["std::thread::spawn", "std::thread::scope", "std::thread::sleep"]);
    has(macros, &["std::println", "std::thread_local"]);
}

/// Words that no source of a ring may contain outside its comments, and what is allowed of them.
const WORDS: [&str; 21] = [
    "async",
    "await",
    "Future",
    "Instant",
    "SystemTime",
    "RandomState",
    "DefaultHasher",
    "thread",
    "thread_local",
    "Mutex",
    "RwLock",
    "RefCell",
    "Cell",
    "OnceLock",
    "LazyLock",
    "fs",
    "net",
    "env",
    "io",
    "unsafe",
    "tokio",
];

#[test]
fn no_source_contains_a_word_of_the_outer_ring() {
    for name in RINGS {
        let mut sources = 0;
        each_source(&ring(name).join("src"), &mut |path, text| {
            sources += 1;
            for (line, number) in text.lines().zip(1..) {
                let code = line.split("//").next().unwrap_or("");
                let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
                let word = words.find(|word| WORDS.contains(word));
                assert_eq!(word, None, "{}:{number}: {line}", path.display());
                let random = ["HashMap::new", "HashSet::new", "HashMap::default", "HashSet::default", "static mut"];
                let word = random.into_iter().find(|word| code.contains(word));
                assert_eq!(word, None, "{}:{number}: {line}", path.display());
            }
        });
        assert!(sources > 5, "{name} has sources");
    }
}

fn each_source(folder: &Path, look: &mut impl FnMut(&Path, &str)) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            each_source(&path, look);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            look(&path, &fs::read_to_string(&path).expect("a source"));
        }
    }
}
