//! Prefixes that many sequences have in common, such as a system message: computed or restored once, then kept.

use crate::GenerateError;
use crate::generator::{Cache, Generator};
use kinglet_engine::{CacheId, CancelToken, Runner, TokenId};
use std::io::{Read, Write};

/// Tokens and the cache that holds them, to be saved or [added to the prefix pool](Generator::add_prefix).
pub struct Prefix {
    tokens: Vec<TokenId>,
    cache: Cache,
}

impl Prefix {
    /// `cache` holds `tokens`.
    pub(crate) fn new(tokens: Vec<TokenId>, cache: Cache) -> Self {
        Self { tokens, cache }
    }

    /// Computes `tokens`, as far as they are not in the prefix pool.
    ///
    /// # Errors
    /// [`GenerateError::EmptyPrompt`], [`GenerateError::PromptTooLong`], [`GenerateError::Cancelled`],
    /// [`GenerateError::Engine`].
    pub fn compute(generator: &Generator, tokens: &[TokenId], cancel: &CancelToken) -> Result<Self, GenerateError> {
        Ok(Self::new(tokens.to_vec(), generator.prefill(tokens, cancel)?.cache))
    }

    /// Reads what [`save`](Self::save) wrote of `tokens`. The caller answers for it: that nothing has changed it, that the
    /// same weights computed it, and of these tokens.
    ///
    /// # Errors
    /// [`GenerateError::Engine`], above all with [`SavedCache`](kinglet_engine::EngineError::SavedCache) where it is not what
    /// the engine saves, or not of so many tokens.
    pub fn restore(generator: &Generator, tokens: &[TokenId], source: &mut dyn Read) -> Result<Self, GenerateError> {
        let cache = generator.restore(tokens.len(), source)?;
        Ok(Self::new(tokens.to_vec(), cache))
    }

    /// Writes the keys and values of all tokens, but not the tokens.
    ///
    /// # Errors
    /// [`GenerateError::Engine`] with [`Storage`](kinglet_engine::EngineError::Storage) where `out` fails.
    pub fn save(&self, out: &mut dyn Write) -> Result<(), GenerateError> {
        Ok(self.cache.save(self.tokens.len(), out)?)
    }

    /// The tokens, at least one.
    pub fn tokens(&self) -> &[TokenId] {
        &self.tokens
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.cache
    }
}

impl std::fmt::Debug for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prefix").field("tokens", &self.tokens.len()).finish_non_exhaustive()
    }
}

/// Capacity of the prefix pool: more than an application has system messages. The least recently used prefix is evicted first.
const KEPT: usize = 8;

/// The prefix pool of a generator in LRU order, the last used one last. Their caches are released by whoever takes them out.
#[derive(Debug, Default)]
pub(crate) struct PrefixPool(Vec<(Vec<TokenId>, CacheId)>);

impl PrefixPool {
    /// How many tokens of `sequence` one of the prefixes holds.
    pub(crate) fn common(&self, sequence: &[TokenId]) -> usize {
        self.0.iter().map(|(tokens, _)| common_prefix(tokens, sequence)).max().unwrap_or(0)
    }

    /// The cache that holds most of the prefix of `sequence`, and how many of its tokens; it counts as used.
    pub(crate) fn longest(&mut self, sequence: &[TokenId]) -> Option<(CacheId, usize)> {
        let lengths = self.0.iter().map(|(tokens, _)| common_prefix(tokens, sequence)).enumerate();
        let (place, length) = lengths.max_by_key(|(_, length)| *length).filter(|(_, length)| *length > 0)?;
        let used = self.0.remove(place);
        let cache = used.1;
        self.0.push(used);
        Some((cache, length))
    }

    /// Adds a prefix in place of those that it begins with, and returns the evicted caches.
    pub(crate) fn add(&mut self, tokens: Vec<TokenId>, cache: CacheId) -> Vec<CacheId> {
        let (mut gone, mut left) = (vec![], vec![]);
        for kept in self.0.drain(..) {
            if tokens.starts_with(&kept.0) { gone.push(kept.1) } else { left.push(kept) }
        }
        left.push((tokens, cache));
        let too_many = left.len().saturating_sub(KEPT);
        gone.extend(left.drain(..too_many).map(|(_, cache)| cache));
        self.0 = left;
        gone
    }

    /// Releases the least recently used prefix; false where there is none.
    pub(crate) fn give_way(&mut self, runner: &mut dyn Runner) -> bool {
        if self.0.is_empty() {
            return false;
        }
        runner.release(self.0.remove(0).1);
        true
    }
}

/// The length of the common prefix of two sequences, in tokens.
pub fn common_prefix(a: &[TokenId], b: &[TokenId]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// The common prefix of all prompts that `prompt` makes of what is said, whatever that is.
pub fn fixed_tokens(prompt: impl Fn(&str) -> Vec<TokenId>) -> Vec<TokenId> {
    // The common prefix of two messages without a character in common belongs to neither.
    let (mut tokens, other) = (prompt("a"), prompt("1"));
    tokens.truncate(common_prefix(&tokens, &other));
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_beginning_is_found_and_the_unused_one_goes() {
        let mut kept = PrefixPool::default();
        assert_eq!(kept.longest(&[1, 2]), None);
        for (id, tokens) in [vec![1, 2], vec![1, 2, 3, 4], vec![9]].into_iter().enumerate() {
            let gone = kept.add(tokens, CacheId(id as u64));
            assert_eq!(gone, if id == 1 { vec![CacheId(0)] } else { vec![] }, "a longer one takes the place of its prefix");
        }
        assert_eq!(kept.longest(&[1, 2, 3, 7]), Some((CacheId(1), 3)));
        assert_eq!((kept.common(&[1, 2, 3, 7]), kept.common(&[5])), (3, 0));
        assert_eq!(kept.longest(&[5]), None);
        for id in 0..KEPT as u64 - 2 {
            assert_eq!(kept.add(vec![100 + id as u32], CacheId(100 + id)), []);
        }
        assert_eq!(kept.longest(&[9, 9]), Some((CacheId(2), 1)));
        assert_eq!(kept.add(vec![50], CacheId(50)), [CacheId(1)], "9 was used since");
    }
}
