//! The models that are there: listed, removed, and their weights prepared.

use crate::kit::{NO_LIBRARY, Ran, TINY, repository};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// A folder of models, and an empty cache.
struct House {
    root: tempfile::TempDir,
}

impl House {
    fn new() -> House {
        House { root: tempfile::tempdir().unwrap() }
    }

    fn models(&self) -> PathBuf {
        self.root.path().join("models of mine")
    }

    /// A copy of the tiny model.
    fn model(&self, name: &str) -> PathBuf {
        let folder = self.models().join(name);
        fs::create_dir_all(&folder).unwrap();
        for entry in fs::read_dir(repository().join(TINY)).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
        }
        folder
    }

    fn run(&self, args: &[&str]) -> Ran {
        let mut command = assert_cmd::cargo::cargo_bin_cmd!("kinglet");
        command.env("KINGLET_MODELS", self.models()).env("XDG_CACHE_HOME", self.root.path().join("cache"));
        command.env("XDG_DATA_HOME", self.root.path().join("data")).env("ORT_DYLIB_PATH", NO_LIBRARY);
        let output = command.current_dir(self.root.path()).args(args).write_stdin("").output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }
}

#[test]
fn models_are_listed_with_what_they_are() {
    let house = House::new();
    let (wren, owl) = (house.model("wren"), house.model("owl"));
    fs::write(owl.join("model.onnx"), "no protobuf").unwrap();
    fs::create_dir_all(house.models().join("notes")).unwrap();
    let models = house.run(&["list", "--json"]).json();
    let of = |name: &str| models.as_array().unwrap().iter().find(|model| model["name"] == name).cloned();
    let found = of("wren").unwrap();
    assert_eq!(found["folder"], wren.to_str().unwrap());
    assert_eq!((&found["layout"], &found["precision"]), (&"onnxruntime-genai".into(), &"float32".into()));
    assert!(found["bytes"].as_u64().unwrap() > 100_000 && found["problem"].is_null(), "{found}");
    assert!(of("owl").unwrap()["problem"].as_str().unwrap().contains("model.onnx"), "{models}");
    assert!(of("notes").is_none(), "{models}");
    let plain = house.run(&["list"]).done().out;
    for words in ["name", "wren", "onnxruntime-genai", "float32", "kB"] {
        assert!(plain.contains(words), "{words} is not in {plain}");
    }
    assert_eq!(house.run(&["ls"]).done().out, plain);
}

#[test]
fn a_model_is_removed_by_its_name_and_nothing_else_is() {
    let house = House::new();
    let wren = house.model("wren");
    let notes = house.models().join("notes");
    fs::create_dir_all(&notes).unwrap();
    fs::write(notes.join("a.txt"), "a").unwrap();
    house.run(&["rm", "wren"]).misused(&["--yes"]);
    house.run(&["rm", "notes", "--yes"]).refused(&["holds no model"]);
    house.run(&["rm", wren.to_str().unwrap(), "--yes"]).refused(&["no model's name"]);
    house.run(&["rm", "robin", "--yes"]).refused(&["no model `robin`"]);
    assert!(wren.is_dir());
    let removed = house.run(&["rm", "wren", "--yes", "--json"]).json();
    assert_eq!(removed["folder"], wren.to_str().unwrap());
    assert!(removed["bytes"].as_u64().unwrap() > 100_000, "{removed}");
    assert!(!wren.exists() && notes.join("a.txt").is_file());
    // A model that ships beside the command is not the user's.
    let mut command = assert_cmd::cargo::cargo_bin_cmd!("kinglet");
    let output =
        command.env_remove("KINGLET_MODELS").current_dir(repository()).args(["rm", "goldcrest", "--yes"]).output().unwrap();
    assert!(output.status.code() == Some(1) && String::from_utf8_lossy(&output.stderr).contains("outside"), "{output:?}");
    assert!(repository().join("models/goldcrest/model.onnx").is_file());
}

#[cfg(target_os = "linux")]
#[test]
fn prepared_weights_are_found_where_they_are_put_by_default() {
    let house = House::new();
    let quantised = repository().join("models/goldcrest");
    let model = quantised.to_str().unwrap();
    let run = || house.run(&["run", model, "Good morning", "-n", "4", "-vv", "--json"]);
    let plain = run();
    assert!(plain.code == 0 && !plain.err.contains("kweights"), "{plain:?}");
    let cache = house.root.path().join("cache/kinglet/weights");
    assert!(!cache.exists(), "nothing is saved unasked");
    let prepared: Value = house.run(&["prepare", model, "--json"]).json();
    let file = Path::new(prepared["file"].as_str().unwrap()).to_owned();
    assert!(file.starts_with(&cache) && file.is_file(), "{prepared}");
    assert!(house.run(&["prepare", model]).done().out.contains("is verified"));
    let again = run();
    assert!(again.code == 0 && again.err.contains("kweights"), "{again:?}");
    let tokens = |ran: &Ran| serde_json::from_str::<Value>(&ran.out).unwrap()["tokens"].clone();
    assert_eq!(tokens(&again), tokens(&plain));
    // Of another model nothing is there, and nothing is put there.
    let other = house.model("wren");
    house.run(&["run", other.to_str().unwrap(), "a", "-n", "2"]).done();
    assert_eq!(fs::read_dir(&cache).unwrap().count(), 1);
}
