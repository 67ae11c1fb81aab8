//! Stop strings.

use kinglet_text::StopMatcher;
use proptest::prelude::*;

fn run(stops: &[&str], pieces: &[&str]) -> (Vec<String>, String, Option<usize>) {
    let mut matcher = StopMatcher::new(stops.iter().map(|&stop| stop.to_owned()).collect());
    let emitted = pieces.iter().map(|piece| matcher.push(piece).0).collect();
    let rest = matcher.flush();
    (emitted, rest, matcher.stopped())
}

#[test]
fn stops_are_found_wherever_they_are_cut() {
    struct Case {
        stops: &'static [&'static str],
        pieces: &'static [&'static str],
        emitted: &'static [&'static str],
        rest: &'static str,
        stopped: Option<usize>,
    }
    let cases = [
        Case { stops: &[], pieces: &["a", "b"], emitted: &["a", "b"], rest: "", stopped: None },
        Case { stops: &[""], pieces: &["a"], emitted: &["a"], rest: "", stopped: None },
        Case { stops: &["\n\n"], pieces: &["a\n", "\nb"], emitted: &["a", ""], rest: "", stopped: Some(0) },
        Case { stops: &["\n\n"], pieces: &["a\n", "b"], emitted: &["a", "\nb"], rest: "", stopped: None },
        Case { stops: &["\n\n"], pieces: &["a\n"], emitted: &["a"], rest: "\n", stopped: None },
        Case { stops: &["abc", "bc"], pieces: &["xabc"], emitted: &["x"], rest: "", stopped: Some(0) },
        Case { stops: &["abc", "bc"], pieces: &["xab", "d bc"], emitted: &["x", "abd "], rest: "", stopped: Some(1) },
        Case { stops: &["ab", "abc"], pieces: &["abc"], emitted: &[""], rest: "", stopped: Some(0) },
        Case { stops: &["abc", "b"], pieces: &["abc"], emitted: &["a"], rest: "", stopped: Some(1) },
        Case { stops: &["aab"], pieces: &["a", "a", "a", "b", "z"], emitted: &["", "", "a", "", ""], rest: "", stopped: Some(0) },
        Case { stops: &["é!"], pieces: &["é", "é!"], emitted: &["", "é"], rest: "", stopped: Some(0) },
        Case { stops: &["long stop"], pieces: &["a long st", "ory"], emitted: &["a ", "long story"], rest: "", stopped: None },
    ];
    for case in cases {
        let (emitted, rest, stopped) = run(case.stops, case.pieces);
        assert_eq!(
            (emitted, rest.as_str(), stopped),
            (case.emitted.iter().map(|&s| s.to_owned()).collect(), case.rest, case.stopped),
            "{:?}",
            case.pieces
        );
    }
}

#[test]
fn after_a_stop_nothing_comes_out() {
    let mut matcher = StopMatcher::new(vec!["x".to_owned()]);
    assert_eq!(matcher.push("ax b"), ("a".to_owned(), Some(0)));
    assert_eq!(matcher.push("more"), (String::new(), Some(0)));
    assert_eq!(matcher.flush(), "");
}

proptest! {
    /// Small alphabets make stops that overlap themselves and each other.
    #[test]
    fn nothing_after_a_stop_comes_out_and_nothing_else_is_lost(
        stops in proptest::collection::vec("[abé]{1,4}", 0..4),
        pieces in proptest::collection::vec("[abcé]{0,5}", 0..12),
    ) {
        let whole = pieces.concat();
        let mut matcher = StopMatcher::new(stops.clone());
        let mut emitted = String::new();
        let mut stopped = None;
        for piece in &pieces {
            let (text, stop) = matcher.push(piece);
            emitted.push_str(&text);
            prop_assert!(whole.starts_with(&emitted));
            prop_assert!(stops.iter().all(|stop| !emitted.contains(stop.as_str())), "{:?} holds a stop", emitted);
            if stop.is_some() {
                stopped = stop;
                break;
            }
        }
        emitted.push_str(&matcher.flush());
        match stopped {
            None => {
                prop_assert_eq!(&emitted, &whole);
                prop_assert!(stops.iter().all(|stop| !whole.contains(stop.as_str())));
            }
            Some(which) => {
                prop_assert!(whole[emitted.len()..].starts_with(&stops[which]));
                let first = stops.iter().filter_map(|stop| whole.find(stop.as_str())).min();
                prop_assert!(first.is_some_and(|first| first <= emitted.len()), "a stop was passed over");
            }
        }
        let mut at_once = StopMatcher::new(stops.clone());
        let (text, stop) = at_once.push(&whole);
        prop_assert_eq!((text + &at_once.flush(), stop), (emitted, stopped), "the cuts made a difference");
    }

    #[test]
    fn what_is_held_back_is_shorter_than_the_longest_stop(stop in "[ab]{1,6}", pieces in proptest::collection::vec("[ab]{0,4}", 0..12)) {
        let mut matcher = StopMatcher::new(vec![stop.clone()]);
        let mut pushed = 0;
        let mut emitted = 0;
        for piece in &pieces {
            let (text, stopped) = matcher.push(piece);
            pushed += piece.len();
            emitted += text.len();
            if stopped.is_some() {
                break;
            }
            prop_assert!(pushed - emitted < stop.len());
        }
    }
}

#[test]
fn what_is_hidden_is_searched_and_not_handed_out() {
    struct Case {
        stops: &'static [&'static str],
        /// Text, and whether it is hidden.
        pieces: &'static [(&'static str, bool)],
        emitted: &'static str,
        stopped: Option<usize>,
    }
    let cases = [
        Case { stops: &["<e>"], pieces: &[("Hi", false), ("<e>", true), ("x", false)], emitted: "Hi", stopped: Some(0) },
        Case { stops: &["i<e>"], pieces: &[("Hi", false), ("<e>", true)], emitted: "H", stopped: Some(0) },
        Case { stops: &["<e>\n"], pieces: &[("Hi", false), ("<e>", true), ("\n", false)], emitted: "Hi", stopped: Some(0) },
        Case { stops: &["<e>\n"], pieces: &[("Hi", false), ("<e>", true), ("!", false)], emitted: "Hi!", stopped: None },
        Case { stops: &["ab"], pieces: &[("xa", false), ("<e>", true), ("b", false)], emitted: "x", stopped: Some(0) },
        Case { stops: &["ab", "<e>b"], pieces: &[("xa", false), ("<e>", true), ("b", false)], emitted: "x", stopped: Some(0) },
        Case { stops: &["e"], pieces: &[("x", false), ("<e>", true)], emitted: "x", stopped: Some(0) },
        Case { stops: &["ac"], pieces: &[("xa", false), ("<e>", true), ("b", false)], emitted: "xab", stopped: None },
    ];
    for case in cases {
        let mut matcher = StopMatcher::new(case.stops.iter().map(|&stop| stop.to_owned()).collect());
        let mut emitted = String::new();
        for &(piece, hidden) in case.pieces {
            emitted += &if hidden { matcher.push_hidden(piece) } else { matcher.push(piece) }.0;
        }
        emitted += &matcher.flush();
        assert_eq!((emitted.as_str(), matcher.stopped()), (case.emitted, case.stopped), "{:?}", case.pieces);
    }
}

proptest! {
    /// Shown and hidden pieces in any order, whatever they are.
    #[test]
    fn hidden_text_is_never_handed_out_and_no_shown_text_is_lost(
        stops in proptest::collection::vec("[abé]{1,4}", 0..4),
        pieces in proptest::collection::vec(("[abcé]{0,5}", any::<bool>()), 0..12),
    ) {
        let shown: String = pieces.iter().filter(|(_, hidden)| !hidden).map(|(piece, _)| piece.as_str()).collect();
        let mut matcher = StopMatcher::new(stops.clone());
        let mut emitted = String::new();
        let mut whole = String::new();
        for (piece, hidden) in &pieces {
            whole.push_str(piece);
            emitted += &if *hidden { matcher.push_hidden(piece) } else { matcher.push(piece) }.0;
            prop_assert!(shown.starts_with(&emitted));
            prop_assert!(stops.iter().all(|stop| !emitted.contains(stop.as_str())));
            let found = stops.iter().any(|stop| whole.contains(stop.as_str()));
            prop_assert!(!found || matcher.stopped().is_some(), "a stop was passed over");
        }
        emitted += &matcher.flush();
        if matcher.stopped().is_none() {
            prop_assert_eq!(emitted, shown);
        }
    }
}
