//! The program `seatrial`: the command line with the built-in suites and faults.

fn main() -> std::process::ExitCode {
    seatrial::main(&[])
}
