//! Stop strings in a stream of text pieces, also where they span several pieces.

use std::ops::Range;

/// Watches a stream of text for stop strings.
///
/// Text that could be the beginning of a stop string is held back until it is sure that it is none. When a stop string
/// is complete, the text before it is handed out and everything from it on is dropped; a matcher that has stopped hands
/// out nothing more.
///
/// Special tokens give no text, but may be spelt like a stop string or a part of one: what is [hidden](Self::push_hidden) is
/// searched with the text around it, and so is the text alone. It is never handed out.
///
/// The stop string that is complete first wins; of those that end at the same place, the longest. So the result does not
/// depend on how the text is cut into pieces.
///
/// ```
/// use kinglet_text::StopMatcher;
///
/// let mut stops = StopMatcher::new(vec!["\nUser:".into()]);
/// assert_eq!(stops.push("Yes.\nUs"), ("Yes.".to_string(), None));
/// assert_eq!(stops.push("er: and"), (String::new(), Some(0)));
/// ```
#[derive(Debug, Clone, Default)]
pub struct StopMatcher {
    /// The stop strings, none of them empty, with the caller's index.
    stops: Vec<(usize, String)>,
    /// Text that was pushed and not handed out, because a stop string may begin in it.
    held: String,
    /// The parts of `held` that are not to be handed out, in order.
    hidden: Vec<Range<usize>>,
    stopped: Option<usize>,
}

/// A place of the held text, and the stop string that begins there.
struct Found {
    /// Where it ends, in the held text.
    end: usize,
    /// Where it begins, in the held text.
    start: usize,
    which: usize,
}

impl StopMatcher {
    /// A matcher for these stop strings. Empty ones match nothing.
    pub fn new(stops: Vec<String>) -> StopMatcher {
        let stops = stops.into_iter().enumerate().filter(|(_, stop)| !stop.is_empty()).collect();
        StopMatcher { stops, ..StopMatcher::default() }
    }

    /// Takes the next piece of text. Gives the text that is safe to show and, if a stop string is complete, its index in
    /// the list given to [`StopMatcher::new`].
    ///
    /// After a stop, further pieces are dropped and the same index comes back.
    pub fn push(&mut self, piece: &str) -> (String, Option<usize>) {
        if self.stopped.is_none() {
            self.held.push_str(piece);
        }
        self.advance()
    }

    /// Takes the next piece of text that is not to be shown: a special token as it stands in the vocabulary. Gives what
    /// [`push`](Self::push) gives.
    pub fn push_hidden(&mut self, piece: &str) -> (String, Option<usize>) {
        if self.stopped.is_none() && !piece.is_empty() && !self.stops.is_empty() {
            self.hidden.push(self.held.len()..self.held.len() + piece.len());
            self.held.push_str(piece);
        }
        self.advance()
    }

    /// Hands out what was held back, when no more text comes. Empty after a stop.
    pub fn flush(&mut self) -> String {
        self.hand_out(self.held.len())
    }

    /// The index of the stop string that ended the stream, if one did.
    pub fn stopped(&self) -> Option<usize> {
        self.stopped
    }

    fn advance(&mut self) -> (String, Option<usize>) {
        if self.stopped.is_some() {
            return (String::new(), self.stopped);
        }
        let shown = if self.hidden.is_empty() { None } else { Some(self.shown(0..self.held.len())) };
        let found = [Some(self.held.as_str()), shown.as_deref()].into_iter().enumerate().filter_map(|(alone, text)| {
            let Found { end, start, which } = self.first_stop(text?)?;
            // The first character behind the text before decides where it stands among what is hidden.
            Some(if alone == 1 { (self.behind(end), self.before(start), which) } else { (end, start, which) })
        });
        if let Some((_, start, which)) = found.min() {
            self.stopped = Some(which);
            let text = self.hand_out(start);
            (self.held, self.hidden) = (String::new(), Vec::new());
            return (text, self.stopped);
        }
        let mut keep_from = self.first_possible_stop(&self.held);
        if let Some(shown) = &shown {
            keep_from = keep_from.min(self.before(self.first_possible_stop(shown)));
        }
        (self.hand_out(keep_from), None)
    }

    /// Removes the held text up to `end`, and gives what of it may be shown.
    fn hand_out(&mut self, end: usize) -> String {
        let text = self.shown(0..end);
        self.held.drain(..end);
        self.hidden.retain_mut(|part| {
            *part = part.start.saturating_sub(end)..part.end.saturating_sub(end);
            part.start < part.end
        });
        text
    }

    /// A part of the held text without what is hidden in it.
    fn shown(&self, part: Range<usize>) -> String {
        let (mut text, mut from) = (String::new(), part.start);
        for hidden in self.hidden.iter().filter(|hidden| hidden.start < part.end) {
            text.push_str(&self.held[from..hidden.start.max(from)]);
            from = from.max(hidden.end);
        }
        text.push_str(&self.held[from.min(part.end)..part.end]);
        text
    }

    /// The place in the held text at which `shown` bytes of what may be shown have gone by, and nothing hidden behind them.
    fn behind(&self, shown: usize) -> usize {
        let hidden = |at: usize| move |part: &&Range<usize>| part.start < at;
        self.hidden.iter().fold(shown, |at, part| if hidden(at)(&part) { at + part.len() } else { at })
    }

    /// The same, with all that is hidden behind them.
    fn before(&self, shown: usize) -> usize {
        self.hidden.iter().fold(shown, |at, part| if part.start <= at { at + part.len() } else { at })
    }

    /// The first complete stop string in `text`.
    fn first_stop(&self, text: &str) -> Option<Found> {
        let found = self.stops.iter().filter_map(|(which, stop)| {
            let at = text.find(stop.as_str())?;
            Some((at + stop.len(), at, *which))
        });
        found.min().map(|(end, start, which)| Found { end, start, which })
    }

    /// Byte offset from which `text` is the beginning of a stop string; its length if there is none.
    fn first_possible_stop(&self, text: &str) -> usize {
        let longest = self.stops.iter().map(|(_, stop)| stop.len()).max().unwrap_or(0);
        let from = text.len().saturating_sub(longest.saturating_sub(1));
        let begins_stop = |at: usize| self.stops.iter().any(|(_, stop)| stop.starts_with(&text[at..]));
        (from..text.len()).find(|&at| text.is_char_boundary(at) && begins_stop(at)).unwrap_or(text.len())
    }
}
