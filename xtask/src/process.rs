//! Other programs: started in the repository's root, streamed through, listened to or read.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// A program that is started in the repository's root.
pub(crate) fn program(name: impl AsRef<Path>) -> Command {
    let mut command = Command::new(name.as_ref());
    command.current_dir(root());
    command
}

/// The cargo that started this command.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = program(std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from));
    command.args(arguments);
    command
}

/// Where cargo builds.
///
/// # Errors
/// A sentence if cargo does not say it.
pub(crate) fn target_folder() -> Result<PathBuf, String> {
    let metadata = read(&mut cargo(&["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&metadata).map_err(|error| format!("cargo metadata is no JSON: {error}"))?;
    let target = metadata["target_directory"].as_str().ok_or("cargo metadata names no target directory")?;
    Ok(PathBuf::from(target))
}

/// Whether the program is there and ends well; its output is not shown.
pub(crate) fn works(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Runs a program with its output streamed through.
///
/// # Errors
/// A sentence if it does not start or does not end well.
pub(crate) fn stream(command: &mut Command) -> Result<(), String> {
    announce(command);
    let status = command.status().map_err(|error| not_started(command, &error))?;
    ended_well(command, status)
}

/// Runs a program and hands over each line of its stdout as it comes.
///
/// # Errors
/// A sentence if it does not start or does not end well.
pub(crate) fn listen(command: &mut Command, mut line: impl FnMut(&str)) -> Result<(), String> {
    command.stdout(Stdio::piped());
    run_listening(command, |child| child.stdout.take(), &mut line)
}

/// As [`listen`], of its stderr.
///
/// # Errors
/// A sentence if it does not start or does not end well.
pub(crate) fn listen_to_errors(command: &mut Command, mut line: impl FnMut(&str)) -> Result<(), String> {
    command.stderr(Stdio::piped());
    run_listening(command, |child| child.stderr.take(), &mut line)
}

fn run_listening<R: Read>(
    command: &mut Command,
    output: impl Fn(&mut Child) -> Option<R>,
    line: &mut impl FnMut(&str),
) -> Result<(), String> {
    announce(command);
    let mut child = command.spawn().map_err(|error| not_started(command, &error))?;
    for bytes in output(&mut child).into_iter().flat_map(|output| BufReader::new(output).split(b'\n')) {
        let bytes = bytes.map_err(|error| format!("the output of {} broke off: {error}", named(command)))?;
        line(String::from_utf8_lossy(&bytes).trim_end_matches('\r'));
    }
    let status = child.wait().map_err(|error| not_started(command, &error))?;
    ended_well(command, status)
}

/// Runs a program and gives what it writes to stdout.
///
/// # Errors
/// A sentence if it does not start or does not end well.
pub(crate) fn read(command: &mut Command) -> Result<String, String> {
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| not_started(command, &error))?;
    ended_well(command, output.status)?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn announce(command: &Command) {
    let arguments = command.get_args().map(|a| a.to_string_lossy().into_owned()).collect::<Vec<_>>();
    eprintln!("\n$ {} {}", named(command), arguments.join(" "));
}

fn named(command: &Command) -> String {
    let name = Path::new(command.get_program()).file_name();
    name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn not_started(command: &Command, error: &std::io::Error) -> String {
    format!("{} could not be started: {error}", named(command))
}

fn ended_well(command: &Command, status: ExitStatus) -> Result<(), String> {
    if status.success() { Ok(()) } else { Err(format!("{} ended with {status}", named(command))) }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = program("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn lines_and_the_exit_status_come_back() {
        let mut lines = Vec::new();
        let outcome = listen(&mut shell("echo one; printf 'two \\377'; exit 3"), |line| lines.push(line.to_owned()));
        assert_eq!(lines, ["one", "two \u{fffd}"]);
        assert!(outcome.is_err_and(|why| why.contains('3')));
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let mut absent = program("/no/such/program");
        assert!(!works(&mut absent));
        assert!(stream(&mut absent).is_err());
        assert!(read(&mut absent).is_err());
        assert!(works(&mut shell("true")) && !works(&mut shell("false")));
    }

    #[test]
    fn the_root_holds_the_workspace() {
        assert!(root().join("Cargo.toml").is_file() && root().join("xtask").is_dir());
    }
}
