//! The processes here are this test program itself, which runs one test of this file alone and does as it is told.

use super::*;
use clap::Parser;
use kinglet::Logits;
use std::time::Instant;

/// Environment variables that tell the process what to do, and the file to write to.
const DOES: &str = "KINGLET_TEST_CHILD_DOES";
const OUT: &str = "KINGLET_TEST_CHILD_OUT";

fn measured() -> Measured {
    let logits = Logits { positions: 1, vocabulary: 2, values: vec![1.0, 2.0] };
    Measured { open: Duration::from_secs(1), prefill_tokens_per_second: 3.0, decode_tokens_per_second: 4.0, logits }
}

/// The process of the other tests; among them it does nothing.
#[test]
fn process() {
    let (Ok(does), Some(out)) = (std::env::var(DOES), std::env::var_os(OUT)) else { return };
    let out = Path::new(&out);
    match does.as_str() {
        "measures" => handed::write(out, &Ok(measured())).unwrap(),
        "refuses" => handed::write(out, &Err(Setback::Refused("no".into()))).unwrap(),
        "hands over half" => std::fs::write(out, "{\"Measured\":").unwrap(),
        "hands over and crashes" => {
            handed::write(out, &Ok(measured())).unwrap();
            std::process::abort();
        }
        "exits" => std::process::exit(3),
        "aborts" => std::process::abort(),
        "hangs" => std::thread::sleep(Duration::from_secs(3600)),
        _ => {}
    }
}

fn child(does: &'static str, timeout: Duration) -> Result<Measured, Setback> {
    attempt(timeout, |out| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "verbs::probe::child::tests::process"]).env(DOES, does).env(OUT, out);
        command
    })
}

#[test]
fn whatever_a_process_does_is_told() {
    let long = Duration::from_secs(600);
    assert_eq!(child("measures", long), Ok(measured()));
    assert_eq!(child("refuses", long), Err(Setback::Refused("no".into())));
    for (does, word) in [
        ("exits", "3"),
        ("aborts", "signal"),
        ("hands over half", "exit"),
        ("hands over and crashes", "signal"),
        ("does nothing", "exit"),
    ] {
        let Err(Setback::Crashed(reason)) = child(does, long) else { panic!("{does}") };
        assert!(!cfg!(unix) || reason.contains(word), "{does}: {reason}");
    }
}

#[test]
fn a_process_that_hangs_is_ended_in_time() {
    let (started, timeout) = (Instant::now(), Duration::from_millis(300));
    assert_eq!(child("hangs", timeout), Err(Setback::Hung(timeout)));
    assert!(started.elapsed() < Duration::from_secs(3000), "it was not waited for");
}

#[test]
fn a_program_that_is_not_there_is_told() {
    let came = attempt(Duration::from_secs(9), |_| Command::new("/no/such/program"));
    assert!(matches!(came, Err(Setback::Failed(reason)) if reason.contains("could not be run")));
}

#[test]
fn last_words_are_short_and_cannot_steer_a_terminal() {
    let status = || Command::new(std::env::current_exe().unwrap()).arg("--list").stdout(Stdio::null()).status();
    let words = format!("first\n\x1b[31m{}\n\n", "a".repeat(1000));
    let told = obituary(status().unwrap(), &words);
    assert!(!told.contains('\x1b') && told.contains("[31maaa") && told.len() < 300, "{told}");
    assert!(!obituary(status().unwrap(), "\n").contains("said"));
}

#[test]
fn processes_open_the_model_as_this_one_would() {
    let typed = "kinglet --variant q4 -t 2 -c 300 --memory-budget 1.5GB --weights packed --exact --prepared-weights w -vv probe";
    let cli = crate::arguments::Cli::try_parse_from(typed.split(' ')).unwrap();
    let all = options(&cli.common, Path::new("wren"));
    let again = ["kinglet".into(), "probe".into()].into_iter().chain(all.clone());
    let again = crate::arguments::Cli::try_parse_from(again).unwrap().common;
    assert_eq!(options(&again, Path::new("wren")), all);
    assert_eq!((again.model, again.memory_budget), (Some("wren".into()), cli.common.memory_budget));
    let defaults = crate::arguments::Cli::try_parse_from(["kinglet", "probe"]).unwrap().common;
    assert_eq!(options(&defaults, Path::new("wren")), ["--model", "wren", "--weights", "auto"]);
}
