//! What is asked for, as the arguments and the environment say it.

use std::ffi::{OsStr, OsString};
use std::iter::successors;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches};

use super::output::{Output, Unprinted};
use super::telling::{drain, tell_error};
use super::{Cli, Command, Verdict};
use crate::proposal::name_store;

/// What is asked for, and of which store, if it is of one.
pub(super) fn parse() -> Result<(Command, Option<String>), clap::Error> {
    // what is wrong with the rest may be told with a command for the same store
    if let Some(url) = named_store().and_then(|text| text.parse().ok()) {
        name_store(&url);
    }
    let matches = without_empty_variables(Cli::command()).try_get_matches()?;
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

/// Prints the help, the version, or what is wrong with the command line.
pub(super) fn explain(answer: &clap::Error) -> ExitCode {
    let code = u8::try_from(answer.exit_code()).unwrap_or(2);
    let mut printed = answer.print().map_err(Unprinted::Write);
    if answer.use_stderr() {
        let mut output = Output::stdout(true);
        if asks_for_json() {
            output.failure(answer.to_string().trim_end(), &[], code);
        }
        printed = output.finish();
    }
    match printed {
        Err(unprinted) if !unprinted.is_closed_pipe() => {
            tell_error(&unprinted);
            drain(Duration::MAX);
            ExitCode::from(if code == 0 { Verdict::Unprinted.exit_code() } else { code })
        }
        _ => ExitCode::from(code),
    }
}
