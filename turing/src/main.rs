//! The `turing` program: a thin shell over the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    turing::cli::main()
}
