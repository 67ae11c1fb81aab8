//! For each thing that is left out: what is put in its place gives the interpreter's numbers, and its nearest neighbour is
//! refused by the name of the node that matters.

mod bends;
mod crafted;
mod decoder;
mod far;
mod other;
mod same;

use self::decoder::Decoder;

/// A decoder that is refused, and words of the refusal.
struct Other {
    name: &'static str,
    from: fn() -> Decoder,
    bend: fn(&mut Decoder),
    says: &'static [&'static str],
}

fn refuses(cases: &[Other]) {
    for Other { name, from, bend, says } in cases {
        let mut decoder = from();
        bend(&mut decoder);
        let Err(error) = decoder.open() else { panic!("{name}: opened") };
        let message = error.to_string();
        assert!(says.iter().all(|s| message.contains(s)), "{name}: {message}");
    }
}
