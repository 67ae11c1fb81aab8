//! Choosing the replies to show: good ones that differ.

use super::Intent;
use super::similarity::{is_duplicate, overlap};

/// Replies beyond this many times the wanted number, in the order of their scores, are not shown for diversity's sake.
const POOL: usize = 4;

/// The texts to show, best first: at most `count` of `ranked` (text and score), greedily by maximal marginal relevance
/// (Carbonell and Goldstein, 1998).
///
/// Near-duplicates are merged into the one with the better score. The first choice is the best reply. Each further one is
/// the reply `r` with the greatest
///
/// ```text
/// (1 - diversity) * relevance(r) - diversity * max over chosen s of likeness(r, s)
/// relevance(r)   = 1 - place of r by score / replies in the pool          (a place, as scores have no common scale)
/// likeness(r, s) = ([r and s do the same] + share of words in common) / 2
/// ```
///
/// where the pool is the best `4 * count` replies and "do the same" means one intent (yes, no, ask) that is not
/// [`Intent::Other`]. No more than two thirds of `count`, rounded up, may say yes, and likewise no and ask: of three
/// replies, not all agree. Equal values go to the better place, equal scores to the text that sorts first.
pub(crate) fn select(mut ranked: Vec<(String, f32)>, count: usize, diversity: f32) -> Vec<(String, f32)> {
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let mut pool = merged(ranked, count.saturating_mul(POOL));
    let size = pool.len() as f32;
    let most_of_one = (2 * count).div_ceil(3);
    let mut chosen: Vec<Entry> = vec![];
    while chosen.len() < count {
        pool.retain(|r| r.intent == Intent::Other || chosen.iter().filter(|s| s.intent == r.intent).count() < most_of_one);
        let value = |r: &Entry| {
            let like = chosen.iter().map(|s| likeness(r, s)).fold(0.0, f32::max);
            (1.0 - diversity) * (1.0 - r.place as f32 / size) - diversity * like
        };
        let better = |a: &Entry, b: &Entry| value(a).total_cmp(&value(b)).then(b.place.cmp(&a.place));
        let best =
            pool.iter().enumerate().max_by(|(_, a), (_, b)| if chosen.is_empty() { b.place.cmp(&a.place) } else { better(a, b) });
        let Some((index, _)) = best else { break };
        chosen.push(pool.remove(index));
    }
    chosen.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.place.cmp(&b.place)));
    chosen.into_iter().map(|entry| (entry.text, entry.score)).collect()
}

/// A reply in the pool.
struct Entry {
    text: String,
    score: f32,
    intent: Intent,
    /// Its place by score, from 0.
    place: usize,
}

/// The best `most` replies of a sorted list, each standing for its near-duplicates.
fn merged(ranked: Vec<(String, f32)>, most: usize) -> Vec<Entry> {
    let mut kept: Vec<Entry> = vec![];
    for (text, score) in ranked {
        if kept.len() == most {
            break;
        }
        if !kept.iter().any(|better| is_duplicate(&better.text, &text)) {
            kept.push(Entry { intent: Intent::of(&text), place: kept.len(), text, score });
        }
    }
    kept
}

/// From 0 to 1.
fn likeness(a: &Entry, b: &Entry) -> f32 {
    let same = a.intent == b.intent && a.intent != Intent::Other;
    (f32::from(u8::from(same)) + overlap(&a.text, &b.text)) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(replies: &[(&str, f32)], count: usize, diversity: f32) -> Vec<String> {
        let ranked = replies.iter().map(|&(text, score)| (text.to_owned(), score)).collect();
        select(ranked, count, diversity).into_iter().map(|(text, _)| text).collect()
    }

    #[test]
    fn without_diversity_the_best_are_chosen_in_order() {
        let replies =
            [("It costs $3.", -2.0), ("We open at nine.", -1.0), ("The bus is late.", -3.0), ("Mondays are quiet.", -0.5)];
        assert_eq!(chosen(&replies, 3, 0.0), ["Mondays are quiet.", "We open at nine.", "It costs $3."]);
    }

    #[test]
    fn near_duplicates_are_merged_into_the_better() {
        let replies = [("Have a nice day.", -1.0), ("Have a nice day!", -0.5), ("have a very nice day", -0.8), ("Bye.", -3.0)];
        assert_eq!(chosen(&replies, 3, 0.3), ["Have a nice day!", "Bye."]);
    }

    #[test]
    fn three_replies_do_not_all_agree() {
        let replies = [
            ("Yes, that works.", -0.1),
            ("Sure, book it.", -0.2),
            ("Of course, go ahead.", -0.3),
            ("Absolutely, I am in.", -0.4),
            ("What time is it at?", -0.9),
            ("No, thank you.", -0.95),
        ];
        assert_eq!(chosen(&replies, 3, 0.3), ["Yes, that works.", "Sure, book it.", "What time is it at?"]);
        assert_eq!(chosen(&replies, 3, 0.7), ["Yes, that works.", "What time is it at?", "No, thank you."]);
        assert_eq!(chosen(&replies[..4], 3, 0.3).len(), 2, "only agreements: two are shown");
        let all_yes = chosen(&replies, 3, 0.0).iter().all(|r| Intent::of(r) == Intent::Yes);
        assert!(!all_yes, "the limit holds without diversity too");
    }

    #[test]
    fn the_best_comes_first_and_the_far_ones_never() {
        let mut replies: Vec<(String, f32)> = (0..40).map(|i| (format!("Yes w{i} x{i} y{i}"), -(i as f32))).collect();
        replies.push(("What else do you need?".into(), -100.0));
        let picked = select(replies, 2, 0.9);
        assert_eq!(picked[0].0, "Yes w0 x0 y0");
        assert!(picked.iter().all(|(text, _)| !text.starts_with("What")), "beyond the pool: {picked:?}");
    }

    #[test]
    fn order_of_input_does_not_matter() {
        let mut replies = [("Alpha beta.", -1.0), ("Gamma delta.", -1.0), ("Epsilon zeta.", -1.0), ("Eta theta.", -1.0)];
        let first = chosen(&replies, 3, 0.3);
        replies.reverse();
        assert_eq!(chosen(&replies, 3, 0.3), first);
    }

    #[test]
    fn nothing_to_choose_from() {
        assert!(chosen(&[], 3, 0.3).is_empty());
        assert!(chosen(&[("Yes.", 0.0)], 0, 0.3).is_empty());
    }
}
