//! What the readers of TOML say is wrong with a text, in the words of the format.

/// The same in words of the format; `named` is the part of the text that it is about.
pub(crate) fn in_words(message: &str, named: Option<&str>) -> String {
    if let ("duplicate key", Some(key)) = (message, named) {
        return format!("duplicate key: `{}` is there already", key.trim());
    }
    if let Some(name) = message.strip_prefix("missing field ") {
        return format!("the key {name} is missing");
    }
    if let Some(rest) = message.strip_prefix("unknown field ") {
        return format!("unknown key {}", rest.replacen(", expected ", ", possible is ", 1));
    }
    if let Some((name, rest)) = told_apart(message, "unknown variant ") {
        return format!("{name} is not known here; possible is {rest}");
    }
    if let Some((found, wanted)) = told_apart(message, "invalid type: ") {
        return format!("{} stands where {} is wanted", of_a_kind(found), kind_of(wanted));
    }
    if let Some((found, wanted)) = told_apart(message, "invalid value: ") {
        return format!("{} does not fit: {} is wanted", of_a_kind(found), kind_of(wanted));
    }
    message.to_owned()
}

/// What was found, and what was expected.
fn told_apart<'m>(message: &'m str, beginning: &str) -> Option<(&'m str, &'m str)> {
    // what was found may say anything
    message.strip_prefix(beginning)?.rsplit_once(", expected ")
}

/// A value that was found, behind the name of its type.
fn of_a_kind(found: &str) -> String {
    let kinds = [
        ("string ", "the text "),
        ("integer ", "the integer "),
        ("floating point ", "the number "),
        ("boolean ", "the truth value "),
        ("sequence", "a list"),
        ("map", "a table"),
    ];
    let known = kinds.iter().find_map(|(kind, word)| Some((*word, found.strip_prefix(*kind)?)));
    known.map_or_else(|| found.to_owned(), |(word, value)| format!("{word}{value}"))
}

/// A type of Rust, or of serde.
fn kind_of(wanted: &str) -> String {
    let word = match wanted {
        "i32" => return format!("an integer from {} to {}", i32::MIN, i32::MAX),
        "u32" => return format!("an integer from 0 to {}", u32::MAX),
        "i64" | "u64" | "usize" => "an integer",
        "f64" | "f32" => "a number",
        "a string" | "string" | "variant identifier" | "string or map" => "a text",
        "a sequence" | "sequence" => "a list",
        "a map" | "map" => "a table",
        "a boolean" | "bool" => "true or false",
        other if other.starts_with("struct ") || other.contains("enum ") => "a table",
        other => other,
    };
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use turing_domain::Workflow;

    use super::*;

    /// What is told of a definition with this in the place of its actor's settings and its entry.
    fn told(entry: &str, settings: &str) -> String {
        let text = format!(
            "[workflow]\nid = 1\nname = \"a\"\n{entry}\n\
             [[actors]]\nid = 1\nname = \"b\"\n{settings}\n"
        );
        let error = toml::from_str::<Workflow>(&text).unwrap_err();
        in_words(error.message(), error.span().map(|span| &text[span]))
    }

    #[test]
    fn no_type_of_rust_is_told() {
        let script = "type = \"script\"\ncommand = [\"a\"]";
        let of_entry = |entry: &str| told(entry, script);
        let integer = "an integer from -2147483648 to 2147483647";
        let stands = format!("the text \"ten\" stands where {integer} is wanted");
        assert_eq!(of_entry("entry = \"ten\""), stands);
        let fits = format!("the integer `99999999999` does not fit: {integer} is wanted");
        assert_eq!(of_entry("entry = 99999999999"), fits);
        assert_eq!(of_entry(""), "the key `entry` is missing");
        assert_eq!(of_entry("entry = 1\nentry = 2"), "duplicate key: `entry` is there already");
        let retry = of_entry("entry = 1\nretry = { base_seconds = \"soon\" }");
        assert_eq!(retry, "the text \"soon\" stands where a number is wanted");
        let unknown = of_entry("entry = 1\nenter = 2");
        assert!(unknown.starts_with("unknown key `enter`, possible is one of `id`"), "{unknown}");
        let long = of_entry("entry = 1\nretry = { base_seconds = 1e300 }");
        assert!(long.contains("1e300 is no length of time") && long.len() < 100, "{long}");

        let list = told("entry = 1", "type = \"script\"\ncommand = \"a\"");
        assert_eq!(list, "the text \"a\" stands where a list is wanted");
        let variant = told("entry = 1", "type = \"Script\"");
        assert!(variant.starts_with("`Script` is not known here; possible is "), "{variant}");
        assert!(variant.contains("`script`"), "{variant}");
    }
}
