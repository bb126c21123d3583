//! What is asked for, as the arguments and the environment say it.

use std::ffi::{OsStr, OsString};
use std::iter::successors;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches};

use super::output::{Output, Unprinted};
use super::telling::{drain, tell_error};
use super::{Cli, Command, PATIENCE, Verdict};
use crate::proposal::name_store;
use crate::store::StoreUrl;

/// What is asked for, and of which store, if it is of one.
pub(super) fn parse() -> Result<(Command, Option<String>), clap::Error> {
    // what is wrong with the rest may be told with a command for the same store
    if let Some(url) = named_store().and_then(|text| text.parse().ok()) {
        name_store(&url);
    }
    let matches = without_empty_variables(Cli::command()).try_get_matches().map_err(with_cure)?;
    let cli = Cli::from_arg_matches(&matches);
    let command = cli.map_err(|error| error.format(&mut Cli::command()))?.command;
    let innermost =
        successors(Some(&matches), |matches| matches.subcommand().map(|(_, matches)| matches));
    let store =
        innermost.last().and_then(|matches| matches.try_get_one::<String>("store").ok().flatten());
    Ok((command, store.cloned()))
}

/// The same command line, for which an environment variable that is empty is not set, as whoever
/// leaves one empty means it.
fn without_empty_variables(syntax: clap::Command) -> clap::Command {
    let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    syntax
        .mut_args(|argument| match argument.get_env().is_some_and(is_empty) {
            true => argument.env(None::<&str>),
            false => argument,
        })
        .mut_subcommands(without_empty_variables)
}

/// What stands on the command line before what is no option any more.
fn options() -> impl Iterator<Item = OsString> {
    std::env::args_os().take_while(|argument| argument != "--")
}

/// Whether the answer is for programs; also where the command line is wrong otherwise.
pub(super) fn asks_for_json() -> bool {
    options().any(|argument| argument == "--json")
}

/// The store that is named on the command line; also where that is wrong otherwise.
fn named_store() -> Option<String> {
    let mut options = options().map(|argument| argument.to_string_lossy().into_owned());
    let option = options.find(|option| option.starts_with("--store"))?;
    match option.strip_prefix("--store") {
        Some("") => options.next(),
        behind => behind?.strip_prefix('=').map(str::to_owned),
    }
}

/// Says what is to be done where the parser does not.
fn with_cure(mut error: clap::Error) -> clap::Error {
    if error.kind() == ErrorKind::ArgumentConflict {
        let cure = "give the one that is meant, without the other".into();
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![cure]));
    }
    // an address without its option may have a password
    if let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg)
        && let Some((scheme, _)) = argument.split_once("://").filter(|(_, rest)| rest.contains('@'))
    {
        let shown = argument
            .parse()
            .map_or_else(|_| format!("{scheme}://..."), |url: StoreUrl| url.to_string());
        error.insert(ContextKind::InvalidArg, ContextValue::String(shown));
    }
    error
}

/// What is wrong with the command line and what is to be done, in one line: usage and help are for
/// people.
fn in_one_line(answer: &clap::Error) -> String {
    if answer.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "it is not said what is to be done; `--help` lists what can be".to_owned();
    }
    let text = answer.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let is_for_people = |part: &&str| part.starts_with("Usage:") || part.starts_with("For more");
    let parts = text.split("\n\n").take_while(|part| !is_for_people(part));
    let parts = parts.map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
    let told = parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
    format!("{told}; `--help` says what can be given")
}

/// Prints the help, the version, or what is wrong with the command line.
pub(super) fn explain(answer: clap::Error) -> ExitCode {
    let code = u8::try_from(answer.exit_code()).unwrap_or(2);
    let printed = if answer.use_stderr() {
        let mut output = Output::stdout(true);
        if asks_for_json() {
            output.failure(&in_one_line(&answer), &[], code);
        }
        let printed = output.finish();
        print_for_a_while(answer);
        printed
    } else {
        answer.print().map_err(Unprinted::Write)
    };
    match printed {
        Err(unprinted) if !unprinted.is_closed_pipe() => {
            tell_error(&unprinted);
            drain(PATIENCE);
            ExitCode::from(if code == 0 { Verdict::Unprinted.exit_code() } else { code })
        }
        _ => ExitCode::from(code),
    }
}

/// Prints it to standard error, and waits for whoever reads that no longer than others do.
fn print_for_a_while(answer: clap::Error) {
    let answer = Arc::new(answer);
    let (printing, (done, is_done)) = (Arc::clone(&answer), channel());
    let print = move || {
        // nobody may be listening, which changes nothing
        let _ = printing.print();
        let _ = done.send(());
    };
    if thread::Builder::new().spawn(print).is_ok() {
        let _ = is_done.recv_timeout(PATIENCE);
    } else {
        let _ = answer.print();
    }
}
