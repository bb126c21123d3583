//! What is read, and what is refused in which words.

use std::fs;

use super::*;

fn read(files: &[(&str, &[u8])]) -> Vec<Result<PostingInput, String>> {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    let prefix = format!("{}/", folder.path().display());
    PostingReader::open(folder.path())
        .unwrap()
        .map(|item| item.map_err(|error| error.to_string().replace(&prefix, "")))
        .collect()
}

fn one(name: &str, content: &[u8]) -> Result<PostingInput, String> {
    let mut items = read(&[(name, content)]);
    assert_eq!(items.len(), 1);
    items.remove(0)
}

#[test]
fn files_come_in_the_order_of_their_names_and_lines_in_theirs() {
    let items = read(&[
        ("b.txt", b"text"),
        ("a.jsonl", b"{\"posting_id\":7,\"t\":1}\n\n{\"t\":2}"),
        (".hidden.json", b"{}"),
        ("notes.pdf", b"%PDF"),
    ]);
    let items: Vec<_> = items.into_iter().map(Result::unwrap).collect();
    let ids: Vec<_> = items.iter().map(|item| item.posting_id).collect();
    assert_eq!(ids, [Some(PostingId(7)), None, None]);
    assert_eq!(items[1].data["t"], 2);
    assert!(items[1].source.ends_with("a.jsonl:3"), "{}", items[1].source);
    assert_eq!(items[2].data["job_description"], "text");
}

#[test]
fn what_is_passed_over_in_a_folder_is_known_but_for_what_is_hidden() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["b.csv", "a.json.gz", "c.json", ".hidden.csv"] {
        fs::write(folder.path().join(name), "{}").unwrap();
    }
    fs::create_dir(folder.path().join("d.json")).unwrap();
    let reader = PostingReader::open(folder.path()).unwrap();
    let expected = ["a.json.gz", "b.csv", "d.json"].map(|name| folder.path().join(name));
    assert_eq!(reader.passed_over(), expected);
    assert_eq!(reader.count(), 1);
}

#[test]
fn a_broken_posting_is_refused_by_name_while_others_go_on() {
    let items = read(&[("a.json", b"{\"x\":"), ("b.json", b"{\"x\":1}")]);
    let error = items[0].as_ref().unwrap_err();
    assert!(error.starts_with("a.json: not JSON"), "{error}");
    assert!(items[1].is_ok());
}

#[test]
fn each_kind_of_bad_posting_is_told_in_its_own_words() {
    let cases: [(&str, &[u8], &str); 22] = [
        ("a.json", b"[1]", "not a JSON object but a list; a .jsonl file has one object a line"),
        ("a.json", b"1", "not a JSON object; write"),
        ("a.json", b"", "a.json: empty; write"),
        ("a.json", b"\xef\xbb\xbf \r\n", "a.json: empty; write"),
        ("a.json", b"\xff\xfe{\0}\0", "a.json: not UTF-8 but UTF-16"),
        ("a.txt", b"\xfe\xff\0a", "a.txt: not UTF-8 but UTF-16"),
        ("a.json", b"{\n", "a.json: not JSON: EOF while parsing an object at line 2 column 0"),
        ("a.jsonl", b"{\r\n", "a.jsonl:1: not JSON: EOF while parsing an object at column 1"),
        ("a.jsonl", b"\n{\"a\":x}\n", "a.jsonl:2: not JSON: expected value at column 6"),
        ("a.json", b"{\"posting_id\":\"x\"}", "posting_id is \"x\""),
        ("a.json", b"{\"posting_id\":1.5}", "posting_id is 1.5"),
        ("a.json", b"{\"posting_id\":2147483648}", "posting_id is 2147483648"),
        ("a.json", b"{\"posting_id\":0}", "posting_id is 0"),
        ("a.json", b"{\"job\":{\"t\":\"a\\u0000b\"}}", "the field `job/t` contains U+0000"),
        ("a.json", b"{\"$serde_json::private::RawValue\":\"{}\"}", "reserved by serde_json"),
        (
            "a.json",
            b"{\"n\":{\"$serde_json::private::RawValue\":\"[]\"}}",
            "reserved by serde_json",
        ),
        (
            "a.json",
            b"{\"n\":{\"\\u0024serde_json::private::Number\":\"1\"}}",
            "reserved by serde_json",
        ),
        ("a.json", b"{\"n\":1e400}", "beyond a double"),
        ("a.json", b"{\"n\":\"\\ud800\"}", "half of a surrogate pair"),
        ("a.txt", b"gr\xfc\xdfe", "not UTF-8 at byte 2"),
        ("a.txt", b"a\0b", "the field `job_description` contains U+0000"),
        ("a.jsonl", b"{}\xff", "not UTF-8 at byte 2"),
    ];
    for (name, content, expected) in cases {
        let error = one(name, content).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_byte_order_mark_before_an_object_is_no_part_of_it() {
    const MARKED: &[u8] = b"\xef\xbb\xbf{\"a\":1}\n";
    assert_eq!(one("a.json", MARKED).unwrap().data, one("a.json", b"{\"a\":1}").unwrap().data);
    // also where files were put together
    let items = read(&[("a.jsonl", &[MARKED, MARKED, b"\xef\xbb\xbf\n"].concat())]);
    let ones: Vec<_> = items.into_iter().map(|item| item.unwrap().data["a"].clone()).collect();
    assert_eq!(ones, [1, 1]);
    // of a text everything is content
    let text = one("a.txt", b"\xef\xbb\xbfa").unwrap();
    assert_eq!(text.data["job_description"], "\u{feff}a");
}

#[test]
fn lines_in_utf_16_are_refused_as_one_file() {
    let text = "\u{feff}{\"a\":1}\r\n{\"a\":2}\r\n";
    for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
        let lines: Vec<u8> = text.encode_utf16().flat_map(bytes).collect();
        let error = one("a.jsonl", &lines).unwrap_err();
        assert_eq!(error, "a.jsonl: not UTF-8 but UTF-16; save the file as UTF-8");
    }
}

#[test]
fn a_posting_that_is_too_large_is_refused_and_the_next_line_is_read() {
    let large = vec![b'x'; MAX_POSTING_BYTES + 1];
    assert!(one("a.txt", &large).unwrap_err().contains("larger than 4 MiB"));
    let lines = [b"{\"a\":\"".as_slice(), &large, &large, b"\"}\n{\"b\":1}\n"].concat();
    let items = read(&[("a.jsonl", &lines)]);
    assert_eq!(items.len(), 2);
    assert!(items[0].as_ref().unwrap_err().starts_with("a.jsonl:1: larger than 4 MiB"));
    assert_eq!(items[1].as_ref().unwrap().data["b"], 1);
}

#[test]
fn an_empty_place_has_no_postings_and_one_that_is_not_there_is_an_error_that_names_it() {
    assert!(read(&[]).is_empty());
    assert!(read(&[("a.jsonl", b""), ("b.ndjson", b"\n \r\n\t")]).is_empty());
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("nowhere");
    let error = PostingReader::open(&missing).unwrap_err().to_string();
    assert!(error.contains("nowhere"), "{error}");
}

#[test]
fn equal_data_has_an_equal_digest_whatever_the_order_of_keys() {
    let a = one("a.json", br#"{"a":1,"b":{"d":2,"c":[3]}}"#).unwrap();
    let b = one("b.json", br#"{ "b": {"c":[3],"d":2}, "a":1, "posting_id": 9 }"#).unwrap();
    let c = one("c.json", br#"{"a":1,"b":{"d":2,"c":[4]}}"#).unwrap();
    assert_eq!(a.digest(), b.digest());
    assert_ne!(a.digest(), c.digest());
}

#[test]
fn a_posting_is_the_same_however_its_numbers_are_written() {
    let read = |n: &str| one("a.json", format!("{{\"n\":[{n}]}}").as_bytes()).unwrap();
    for same in [
        &["100", "1e2", "100.0", "1.0E+2"][..],
        &["0", "-0", "0.0", "-0e7"],
        &["10000000000000000", "1e16", "10000000000000000.0"],
        &["1e300", "10e299"],
        &["0.5", "5e-1", "0.50"],
    ] {
        for other in &same[1..] {
            assert_eq!(read(same[0]).digest(), read(other).digest(), "{} {other}", same[0]);
        }
        assert_ne!(read(same[0]).digest(), read("7").digest());
    }
}
