//! The way of an answer's text into the Java virtual machine: bytes into a direct buffer, without the crossing by JNA that costs more
//! than a small model's token.
//!
//! Only text passes here. What ends an answer is pulled as everywhere else, once.

use crate::generation::Shared;
use crate::queue::Next;
use crate::streams::stream;
use jni::EnvUnowned;
use jni::errors::{Error, ThrowRuntimeExAndDefault};
use jni::objects::{JByteBuffer, JClass};
use jni::sys::{jint, jlong};

/// There is no such stream (any more).
const GONE: jint = -1;

/// `dev.kinglet.TextStream.next`: waits for more of the answer's text and writes as much of it as there is and `buffer`, a direct one
/// of at least 4 bytes, holds, in UTF-8 and whole characters. Gives how many bytes that is; 0 where no text follows, and what does is to
/// be pulled from the generation; -1 where the generation is gone.
#[jni::jni_mangle("dev.kinglet.TextStream")]
#[allow(unsafe_code)]
pub fn next(mut env: EnvUnowned<'_>, _class: JClass<'_>, number: jlong, buffer: JByteBuffer<'_>) -> jint {
    env.with_env(|env| -> Result<jint, Error> {
        let (at, room) = (env.get_direct_buffer_address(&buffer)?, env.get_direct_buffer_capacity(&buffer)?);
        let Some(shared) = stream(number as u64) else { return Ok(GONE) };
        // SAFETY: the virtual machine gives the address and the capacity of a direct buffer, whose memory lives as long as `buffer`, a
        // local reference for the time of this call. The Kotlin class lends it to nobody else meanwhile.
        let room = unsafe { std::slice::from_raw_parts_mut(at, room) };
        Ok(fill(&shared, room) as jint)
    })
    .resolve::<ThrowRuntimeExAndDefault>()
}

/// Waits for text and moves as much as fits into `room`; gives its bytes.
fn fill(shared: &Shared, room: &mut [u8]) -> usize {
    let mut filled = 0;
    shared.pieces.take_while(|piece| {
        let Ok(crate::Piece::Text { text }) = piece else { return Next::Stays };
        let fits = text.floor_char_boundary(room.len() - filled);
        room[filled..filled + fits].copy_from_slice(&text.as_bytes()[..fits]);
        filled += fits;
        if fits == text.len() {
            return Next::Taken;
        }
        text.drain(..fits);
        Next::Stays
    });
    filled
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KingletError;
    use crate::generation::Piece;
    use crate::streams::Stream;
    use kinglet::CancelHandle;
    use std::sync::Arc;

    fn shared(texts: &[&str]) -> Shared {
        let shared = Shared::new(CancelHandle::default());
        texts.iter().for_each(|text| shared.pieces.put(Ok(Piece::Text { text: (*text).to_owned() })));
        shared
    }

    fn filled(shared: &Shared, room: usize) -> String {
        let mut buffer = vec![0; room];
        let bytes = fill(shared, &mut buffer);
        String::from_utf8(buffer[..bytes].to_vec()).expect("whole characters")
    }

    #[test]
    fn text_is_cut_between_characters_and_goes_on() {
        let stream = shared(&["añb", "", "🦤🦤", "end"]);
        stream.pieces.put(Err(KingletError::Cancelled));
        let mut all = vec![];
        while let text = filled(&stream, 5)
            && !text.is_empty()
        {
            all.push(text);
        }
        assert_eq!(all, ["añb", "🦤", "🦤e", "nd"]);
        assert!(matches!(stream.pieces.take(), Some(Err(KingletError::Cancelled))), "what is no text stays");
    }

    #[test]
    fn waiting_ends_with_text_or_with_the_answer() {
        let stream = Arc::new(shared(&[]));
        let waiting = stream.clone();
        let thread = std::thread::spawn(move || (filled(&waiting, 9), filled(&waiting, 9)));
        stream.pieces.put(Ok(Piece::Text { text: "late".into() }));
        stream.pieces.end();
        assert_eq!(thread.join().unwrap(), ("late".to_owned(), String::new()));
    }

    #[test]
    fn a_stream_is_known_while_its_generation_lives() {
        let shared = Arc::new(shared(&["a"]));
        let entry = Stream::of(&shared);
        let number = entry.number();
        assert!(stream(number).is_some_and(|found| Arc::ptr_eq(&found, &shared)));
        assert!(stream(0).is_none() && stream(u64::MAX).is_none());
        drop(entry);
        assert!(stream(number).is_none());
    }
}
