//! Stop strings in a stream of text pieces, also where they span several pieces.

/// Watches a stream of text for stop strings.
///
/// Text that could be the beginning of a stop string is held back until it is sure that it is none. When a stop string
/// is complete, the text before it is handed out and everything from it on is dropped; a matcher that has stopped hands
/// out nothing more.
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
    stopped: Option<usize>,
}

impl StopMatcher {
    /// A matcher for these stop strings. Empty ones match nothing.
    pub fn new(stops: Vec<String>) -> StopMatcher {
        let stops = stops.into_iter().enumerate().filter(|(_, stop)| !stop.is_empty()).collect();
        StopMatcher { stops, held: String::new(), stopped: None }
    }

    /// Takes the next piece of text. Gives the text that is safe to show and, if a stop string is complete, its index in
    /// the list given to [`StopMatcher::new`].
    ///
    /// After a stop, further pieces are dropped and the same index comes back.
    pub fn push(&mut self, piece: &str) -> (String, Option<usize>) {
        if self.stopped.is_some() {
            return (String::new(), self.stopped);
        }
        self.held.push_str(piece);
        if let Some((at, which)) = self.first_stop() {
            self.stopped = Some(which);
            self.held.truncate(at);
            return (std::mem::take(&mut self.held), self.stopped);
        }
        let keep_from = self.first_possible_stop();
        let rest = self.held.split_off(keep_from);
        (std::mem::replace(&mut self.held, rest), None)
    }

    /// Hands out what was held back, when no more text comes. Empty after a stop.
    pub fn flush(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// The index of the stop string that ended the stream, if one did.
    pub fn stopped(&self) -> Option<usize> {
        self.stopped
    }

    /// Byte offset and index of the first complete stop string in the held text.
    fn first_stop(&self) -> Option<(usize, usize)> {
        let found = self.stops.iter().filter_map(|(which, stop)| {
            let at = self.held.find(stop.as_str())?;
            Some((at + stop.len(), at, *which))
        });
        found.min().map(|(_, at, which)| (at, which))
    }

    /// Byte offset from which the held text is the beginning of a stop string; its length if there is none.
    fn first_possible_stop(&self) -> usize {
        let longest = self.stops.iter().map(|(_, stop)| stop.len()).max().unwrap_or(0);
        let from = self.held.len().saturating_sub(longest.saturating_sub(1));
        let begins_stop = |at: usize| self.stops.iter().any(|(_, stop)| stop.starts_with(&self.held[at..]));
        (from..self.held.len()).find(|&at| self.held.is_char_boundary(at) && begins_stop(at)).unwrap_or(self.held.len())
    }
}
