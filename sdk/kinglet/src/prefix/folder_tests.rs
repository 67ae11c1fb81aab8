use super::*;
use std::fs::File;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicUsize, Ordering};

const MODEL: ModelKey = [1; 32];
/// Bytes of a file for one token with a middle of 100: see `file`.
const ONE: u64 = 48 + 4 + 100 + 8;

fn folder(path: &Path, max_bytes: u64) -> Folder {
    Folder::new(path.to_owned(), max_bytes, MODEL)
}

/// Saves tokens with a middle that tells them apart.
fn save(folder: &Folder, tokens: &[u32]) -> io::Result<u64> {
    folder.save(tokens, |out| out.write_all(&[tokens[0] as u8; 100]))
}

/// The tokens that were restored; their middle is as it was saved.
fn restore(folder: &Folder, tokens: &[u32]) -> Option<Vec<u32>> {
    let (tokens, middle) = folder.restore(tokens, 0, |prefix, source| {
        let mut middle = [0; 100];
        source.read_exact(&mut middle)?;
        Ok((prefix.to_vec(), middle))
    })?;
    assert_eq!(middle, [tokens[0] as u8; 100]);
    Some(tokens)
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn age(path: &Path, seconds: u64) {
    File::options().write(true).open(path).unwrap().set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
}

#[test]
fn the_longest_saved_beginning_is_restored() {
    let dir = tempfile::tempdir().unwrap();
    let folder = folder(&dir.path().join("made/when/needed"), 1 << 20);
    assert_eq!(restore(&folder, &[1, 2, 3]), None);
    for tokens in [&[1][..], &[1, 2], &[1, 2, 9], &[2, 2]] {
        let bytes = save(&folder, tokens).unwrap();
        assert_eq!(folder.saved_bytes(tokens), Some(bytes));
    }
    struct Case<'a>(&'a [u32], Option<&'a [u32]>);
    for Case(tokens, expected) in [
        Case(&[1, 2, 3], Some(&[1, 2])),
        Case(&[1, 2, 9], Some(&[1, 2, 9])),
        Case(&[1, 3], Some(&[1])),
        Case(&[2, 2, 2], Some(&[2, 2])),
        Case(&[2], None),
        Case(&[], None),
    ] {
        assert_eq!(restore(&folder, tokens).as_deref(), expected, "{tokens:?}");
    }
    let never = |_: &[u32], _: &mut dyn Read| -> Result<(), Unread> { panic!("no more is known") };
    assert_eq!(folder.restore(&[1, 2, 3], 2, never), None);
    let other = Folder::new(folder.path().to_owned(), 1 << 20, [2; 32]);
    assert_eq!((restore(&other, &[1, 2, 3]), other.saved_bytes(&[1])), (None, None), "another model's");
}

#[test]
fn what_was_not_used_for_longest_goes_first_and_the_cap_holds() {
    let dir = tempfile::tempdir().unwrap();
    let folder = folder(dir.path(), 3 * ONE + 10);
    for (token, seconds) in [(1, 40), (2, 30), (3, 20)] {
        save(&folder, &[token]).unwrap();
        age(&dir.path().join(folder.name(&[token])), seconds);
    }
    assert_eq!(restore(&folder, &[1]), Some(vec![1]), "the oldest is used again");
    save(&folder, &[4]).unwrap();
    let held = |token| folder.saved_bytes(&[token]).is_some();
    assert_eq!([1, 2, 3, 4].map(held), [true, false, true, true]);
    let of_another = Folder::new(dir.path().to_owned(), 3 * ONE + 10, [2; 32]);
    save(&of_another, &[5]).unwrap();
    assert_eq!([1, 3, 4].map(held), [true, false, true], "models share the room");
    save(&folder, &[4]).unwrap();
    assert_eq!([1, 4].map(held), [true, true], "to write a file again takes no further room");
    let total: u64 = names(dir.path()).iter().map(|name| fs::metadata(dir.path().join(name)).unwrap().len()).sum();
    assert!(total <= 3 * ONE + 10 && of_another.saved_bytes(&[5]).is_some(), "{total}");
}

#[test]
fn what_is_larger_than_the_cache_is_refused_and_nothing_goes_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let folder = folder(dir.path(), 2 * ONE);
    save(&folder, &[1]).unwrap();
    let refused = folder.save(&[2], |out| out.write_all(&[0; 300])).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::FileTooLarge);
    assert_eq!(names(dir.path()), [folder.name(&[1])]);
}

#[test]
fn a_damaged_file_is_removed_and_the_next_one_serves() {
    let dir = tempfile::tempdir().unwrap();
    let folder = folder(dir.path(), 1 << 20);
    struct Case(&'static str, fn(&mut Vec<u8>));
    for Case(what, damage) in [
        Case("a flipped bit in the middle", |file| file[100] ^= 4),
        Case("a flipped bit in the checksum", |file| *file.last_mut().unwrap() ^= 1),
        Case("another version", |file| file[8] += 1),
        Case("cut short", |file| file.truncate(90)),
        Case("empty", Vec::clear),
        Case("longer", |file| file.push(0)),
        Case("something else", |file| *file = b"not a prefix at all".repeat(20)),
    ] {
        save(&folder, &[1]).unwrap();
        save(&folder, &[1, 2]).unwrap();
        let path = dir.path().join(folder.name(&[1, 2]));
        let mut file = fs::read(&path).unwrap();
        damage(&mut file);
        fs::write(&path, file).unwrap();
        assert_eq!(restore(&folder, &[1, 2, 3]), Some(vec![1]), "{what}");
        assert_eq!(names(dir.path()), [folder.name(&[1])], "{what}");
    }
}

#[test]
fn one_models_file_under_anothers_name_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (folder(dir.path(), 1 << 20), Folder::new(dir.path().to_owned(), 1 << 20, [2; 32]));
    save(&one, &[1]).unwrap();
    fs::rename(dir.path().join(one.name(&[1])), dir.path().join(other.name(&[1]))).unwrap();
    assert_eq!(restore(&other, &[1]), None);
    assert_eq!(names(dir.path()), [""; 0]);
}

#[test]
fn what_cannot_be_restored_now_stays() {
    let dir = tempfile::tempdir().unwrap();
    let folder = folder(dir.path(), 1 << 20);
    save(&folder, &[1]).unwrap();
    let full = |_: &[u32], _: &mut dyn Read| Err::<(), _>(Unread::NotNow("no room".into()));
    assert_eq!(folder.restore(&[1], 0, full), None);
    assert_eq!(restore(&folder, &[1]), Some(vec![1]));
}

#[test]
fn a_write_that_was_interrupted_is_harmless() {
    let dir = tempfile::tempdir().unwrap();
    let folder = folder(dir.path(), 1 << 20);
    save(&folder, &[1]).unwrap();
    let whole = fs::read(dir.path().join(folder.name(&[1]))).unwrap();
    for (name, seconds) in [(".kinglet-old.tmp", 7200), (".kinglet-new.tmp", 5)] {
        fs::write(dir.path().join(name), &whole[..80]).unwrap();
        age(&dir.path().join(name), seconds);
    }
    assert_eq!(restore(&folder, &[1]), Some(vec![1]));
    save(&folder, &[2]).unwrap();
    let left = names(dir.path());
    assert!(!left.contains(&".kinglet-old.tmp".to_owned()), "nobody writes to it any more");
    assert!(left.contains(&".kinglet-new.tmp".to_owned()), "somebody may still write to it");
}

#[test]
fn a_write_that_fails_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let folder = folder(dir.path(), 1 << 20);
    save(&folder, &[1]).unwrap();
    let full = folder.save(&[2], |out| {
        out.write_all(&[0; 50])?;
        Err(ErrorKind::StorageFull.into())
    });
    assert_eq!(full.unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(names(dir.path()), [folder.name(&[1])]);
}

#[test]
fn other_files_in_the_folder_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let others = ["notes.txt", "a-1-b.kvprefix", ".hidden.tmp", "0101010101010101-1-zz.kvprefix"];
    for name in others {
        fs::write(dir.path().join(name), [0; 5000]).unwrap();
        age(&dir.path().join(name), 100_000);
    }
    let folder = folder(dir.path(), 2 * ONE);
    for token in 1..5 {
        save(&folder, &[token]).unwrap();
    }
    let left = names(dir.path());
    assert!(others.iter().all(|name| left.contains(&(*name).to_owned())), "{left:?}");
    assert_eq!(left.len(), others.len() + 2);
}

#[test]
fn several_may_write_and_read_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let restored = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for writer in 0..4_u32 {
            let (path, restored) = (dir.path(), &restored);
            scope.spawn(move || {
                let folder = folder(path, 3 * ONE);
                for round in 0..40 {
                    save(&folder, &[(writer + round) % 5]).unwrap();
                    restored.fetch_add(restore(&folder, &[round % 5]).is_some().into(), Ordering::Relaxed);
                }
            });
        }
    });
    assert!(restored.load(Ordering::Relaxed) > 0);
    let left = names(dir.path());
    assert!(!left.is_empty() && left.len() <= 3, "{left:?}");
    assert!(left.iter().all(|name| parse(name).is_some()), "{left:?}");
}

#[cfg(unix)]
#[allow(clippy::print_stdout, reason = "what is skipped belongs in the log")]
#[test]
fn a_folder_that_takes_nothing_still_gives() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let folder = folder(dir.path(), 1 << 20);
    save(&folder, &[1]).unwrap();
    let file = dir.path().join(folder.name(&[1]));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o077, 0, "for this user alone");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o555)).unwrap();
    if tempfile::tempfile_in(dir.path()).is_ok() {
        println!("SKIPPED: this user may write to read-only folders");
    } else {
        assert_eq!(save(&folder, &[2]).unwrap_err().kind(), ErrorKind::PermissionDenied);
    }
    assert_eq!(restore(&folder, &[1]), Some(vec![1]));
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let no_folder = Folder::new(file, 1 << 20, MODEL);
    assert!(save(&no_folder, &[1]).is_err(), "a file is no folder");
    assert_eq!(restore(&no_folder, &[1]), None);
}

#[test]
fn names_are_recognised() {
    struct Case(&'static str, bool);
    for Case(name, ours) in [
        Case("0101010101010101-12-000102030405060708090a0b0c0d0e0f.kvprefix", true),
        Case("0101010101010101-12-000102030405060708090a0b0c0d0e0f", false),
        Case("0101010101010101-x-000102030405060708090a0b0c0d0e0f.kvprefix", false),
        Case("01010101-12-000102030405060708090a0b0c0d0e0f.kvprefix", false),
        Case("0101010101010101-12-0001.kvprefix", false),
        Case("0101010101010101-12-000102030405060708090a0b0c0d0e0f-1.kvprefix", false),
        Case("0101010101010101-12-g00102030405060708090a0b0c0d0e0f.kvprefix", false),
    ] {
        assert_eq!(parse(name).is_some(), ours, "{name}");
    }
}
