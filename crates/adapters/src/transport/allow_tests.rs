//! What is listed, and where that may lead.
use super::*;

fn list(entries: &[&str]) -> AllowList {
    AllowList::parse(&entries.iter().map(|e| (*e).to_owned()).collect::<Vec<_>>()).expect("a list")
}

fn permits(list: &AllowList, host: &str, port: u16) -> bool {
    list.permits_endpoint(host, port).is_ok()
}

fn leads(list: &AllowList, host: &str, address: &str) -> bool {
    let host = Host::parse(host).expect("a host");
    list.check_resolved(&host, 80, address.parse().expect("an address")).is_ok()
}

#[test]
fn loopback_is_the_default_and_nothing_else() {
    let default = AllowList::default();
    assert_eq!(default, list(&["loopback"]));
    for host in ["127.0.0.1", "127.9.9.9", "[::1]", "::1", "localhost", "LocalHost", "localhost.", "[::ffff:127.0.0.1]"]
    {
        assert!(permits(&default, host, 5001), "{host}");
    }
    for host in [
        "stock",
        "10.0.0.1",
        "0.0.0.0",
        "[::]",
        "128.0.0.1",
        "[::2]",
        "169.254.169.254",
        "localhost.evil.example",
        "evil.localhost",
    ] {
        assert!(!permits(&default, host, 5001), "{host}");
    }
    assert!(leads(&default, "localhost", "127.0.0.1") && leads(&default, "localhost.", "::1"));
    assert!(leads(&default, "localhost", "::ffff:127.0.0.1"));
    assert!(!leads(&default, "stock", "127.0.0.1"));
}

#[test]
fn an_empty_list_is_nobody() {
    let nobody = list(&[]);
    for host in ["127.0.0.1", "localhost", "[::1]", "stock", "10.0.0.1"] {
        assert!(!permits(&nobody, host, 80), "{host}");
    }
}

#[test]
fn an_own_list_replaces_the_default() {
    let list = list(&["stock"]);
    assert!(!permits(&list, "127.0.0.1", 80) && !permits(&list, "localhost", 80));
    assert!(permits(&list, "STOCK", 80) && permits(&list, "stock.", 80) && !permits(&list, "stock.example", 80));
}

#[test]
fn oddly_spelled_ipv4_addresses_are_refused_whatever_is_listed() {
    let list = list(&["loopback", "0.0.0.0/0"]);
    for host in ["0x7f000001", "2130706433", "127.1", "0177.0.0.1", "017700000001", "127.0.0.1.", "0x7f.1", "00.0.0.0"]
    {
        assert_eq!(list.permits_endpoint(host, 80), Err(NotAllowed::Spelling(BadEndpoint::NumericHost)), "{host}");
    }
    for host in ["", "a b", "a@b", "[::1", "[fe80::1%1]", "ex\u{e4}mple"] {
        assert_eq!(list.permits_endpoint(host, 80), Err(NotAllowed::Spelling(BadEndpoint::Host)), "{host}");
    }
}

#[test]
fn ports_suffixes_and_ranges() {
    let list = list(&[
        "stock:5001",
        "*.Example.com",
        "10.0.0.0/8",
        "[fd00::/8]:443",
        "[2001:db8::1]:80",
        "192.168.1.7",
        "2001:db8::2",
    ]);
    for (host, port, permitted) in [
        ("stock", 5001, true),
        ("stock", 5002, false),
        ("a.example.com", 1, true),
        ("a.b.EXAMPLE.com.", 1, true),
        ("example.com", 1, false),
        ("evilexample.com", 1, false),
        ("a.example.com.evil.net", 1, false),
        ("10.255.0.1", 9, true),
        ("11.0.0.1", 9, false),
        ("[::ffff:10.1.2.3]", 9, true),
        ("[fd01::1]", 443, true),
        ("[fd01::1]", 80, false),
        ("[2001:db8::1]", 80, true),
        ("[2001:DB8:0::1]", 80, true),
        ("[2001:db8::1]", 81, false),
        ("[2001:db8::2]", 81, true),
        ("192.168.1.7", 1, true),
        ("192.168.1.8", 1, false),
    ] {
        assert_eq!(permits(&list, host, port), permitted, "{host}:{port}");
    }
}

#[test]
fn a_listed_name_leads_anywhere_but_to_special_addresses() {
    let list = list(&["stock", "*.example.com", "0.0.0.0/0", "::/0"]);
    for address in ["10.0.0.1", "93.184.216.34", "2606::1", "fd00::1", "64:ff9b::808:808"] {
        assert!(leads(&list, "stock", address), "{address}");
        assert!(leads(&list, "a.example.com", address), "{address}");
    }
    for address in [
        "127.0.0.1",
        "127.8.8.8",
        "::1",
        "169.254.169.254",
        "169.254.0.1",
        "fe80::1",
        "febf::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "100.100.100.200",
        "192.0.0.192",
        "0.0.0.0",
        "0.1.2.3",
        "::",
        "224.0.0.1",
        "255.255.255.255",
        "ff02::1",
        "::ffff:169.254.169.254",
        "::ffff:127.0.0.1",
        "::ffff:0.0.0.0",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::7f00:1",
        "2002:a9fe:a9fe::1",
        "::127.0.0.1",
    ] {
        assert!(!leads(&list, "stock", address), "{address}");
        assert!(!permits(&list, address, 80), "a wide range lists {address}");
    }
}

#[test]
fn special_addresses_are_listed_by_entries_meant_for_them() {
    let own = list(&["stock", "127.0.0.0/8", "169.254.7.0/24", "fe80::/10"]);
    assert!(leads(&own, "stock", "127.0.0.1") && !leads(&own, "stock", "::1"));
    // An address in the URL is what its writer means; a name is whatever its owner says today.
    assert!(permits(&own, "169.254.7.1", 80) && permits(&own, "[fe80::1]", 80));
    assert!(!leads(&own, "stock", "169.254.7.1") && !leads(&own, "stock", "fe80::1"));
    let wide = list(&["126.0.0.0/7", "::/0", "224.0.0.0/4", "0.0.0.0"]);
    for host in ["127.0.0.1", "[::1]", "224.0.0.1", "0.0.0.0"] {
        assert!(!permits(&wide, host, 80), "{host}");
    }
    assert!(leads(&list(&["stock", "127.0.0.1:80"]), "stock", "127.0.0.1"));
    assert!(!leads(&list(&["stock", "127.0.0.1:81"]), "stock", "127.0.0.1"));
}

#[test]
fn an_unlisted_name_leads_nowhere_and_the_error_names_the_setting() {
    let list = list(&["10.0.0.0/8"]);
    assert!(!leads(&list, "stock", "10.0.0.1"));
    let unlisted = list.permits_endpoint("Stock", 5001).expect_err("unlisted");
    assert_eq!(unlisted.to_string(), "calls to stock:5001 are not allowed; --allow stock:5001 would allow them");
}

#[test]
fn what_could_never_be_listed_is_not_said_to_be_allowed_by_the_setting() {
    for host in ["0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255", "[::]", "[ff02::1]", "[::ffff:0.0.0.0]"] {
        let host_only = host.trim_matches(['[', ']']);
        let own = list(&["0.0.0.0/0", "::/0", host_only]);
        let why = own.permits_endpoint(host, 80).expect_err(host);
        assert!(matches!(why, NotAllowed::Nowhere { .. }) && !why.to_string().contains("--allow"), "{why}");
    }
}

#[test]
fn what_is_no_entry_is_an_error() {
    for entry in [
        "",
        "*",
        "*stock",
        "*.",
        "*.1.2",
        "a.*",
        "stock:0",
        "stock:x",
        "stock:99999",
        "stock:+1",
        "http://stock",
        "10.0.0.0/33",
        "10.1/8",
        "[::1",
        "[::1]5",
        "2130706433",
        "a b",
        "user@stock",
    ] {
        let bad = AllowList::parse(&[entry.to_owned()]);
        assert!(bad.is_err(), "{entry}: {bad:?}");
    }
}
