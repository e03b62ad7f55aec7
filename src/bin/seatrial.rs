//! The command line of seatrial, with what comes with it and nothing else.

fn main() -> std::process::ExitCode {
    seatrial::main(&[])
}
