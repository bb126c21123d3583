//! Counts the words of the input; the first argument says how many are enough.

use std::error::Error;
use std::io::{self, Write};

use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let enough = std::env::args().nth(1).ok_or("say how many words are enough")?.parse()?;
    let document: Value = serde_json::from_reader(io::stdin().lock())?;
    let answer = answer(&document, enough)?;
    writeln!(io::stdout(), "{answer}")?;
    Ok(())
}

pub(crate) fn answer(document: &Value, enough: usize) -> Result<Value, Box<dyn Error>> {
    let input = document["input"].as_str().ok_or("the document has no input")?;
    let words = input.split_whitespace().count();
    let mark = if words >= enough { "[PASS]" } else { "[FAIL]" };
    Ok(json!({"mark": mark, "words": words}))
}
