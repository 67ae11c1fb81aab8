//! ONNX Runtime's library: where it is looked for, which one is loaded, and why others were not.
//!
//! A process can load one and keeps it: the first that is found stays for all models.

use ort::environment::Environment;
use ort::logging::LogLevel;
use std::fmt::{self, Display, Formatter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The oldest version that will do.
pub const OLDEST_VERSION: &str = "1.24";

/// The environment variable that names the library.
pub const VARIABLE: &str = "ORT_DYLIB_PATH";

/// The loaded library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// The file; a bare name where the system's loader found it by that name.
    pub path: PathBuf,
    /// Its version, such as `1.32.0`, or `1.32` where only that is known.
    pub version: String,
}

/// Where to look instead of the places that are always looked at. No place depends on the model: its folder, and those around
/// it, come with a download, and a library is code that runs as soon as it is loaded.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// The file that the caller named. No other is looked for then.
    pub given: Option<PathBuf>,
}

/// Why there is no library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibraryError {
    /// The paths that were tried, in order, and why each was not taken.
    pub looked: Vec<(PathBuf, Refusal)>,
}

/// Why a file was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such file.
    Absent,
    /// The library is older than [`OLDEST_VERSION`]; with its version.
    TooOld(String),
    /// The file is no such library, does not load, or cannot be used in this process; with the reason.
    Unusable(String),
}

impl Display for LibraryError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "the library of ONNX Runtime {OLDEST_VERSION} or newer was not found (")?;
        for (path, refusal) in self.looked.iter().filter(|(_, refusal)| *refusal != Refusal::Absent) {
            match refusal {
                Refusal::TooOld(version) => write!(f, "{} is version {version}; ", path.display())?,
                Refusal::Unusable(why) => write!(f, "{} does not load: {why}; ", path.display())?,
                Refusal::Absent => {}
            }
        }
        self.places(f)?;
        write!(
            f,
            "); take it out of the wheel `onnxruntime` of PyPI (`pip download onnxruntime`, onnxruntime/capi/{}) or, in a \
             checkout of Kinglet, run `cargo xtask onnxruntime`, and name the file in {VARIABLE}",
            file_name()
        )
    }
}

impl LibraryError {
    /// Writes where the library was looked for: the one file that was named; else its usual name, the folders, and the system's
    /// loader.
    fn places(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let [(path, _)] = &self.looked[..] {
            return write!(f, "looked for {}", path.display());
        }
        let name = file_name();
        write!(f, "looked for {name}")?;
        let (bare, files): (Vec<&Path>, Vec<&Path>) =
            self.looked.iter().map(|(path, _)| path.as_path()).partition(|path| is_bare(path));
        for (place, path) in files.into_iter().enumerate() {
            let usual = path.file_name().is_some_and(|last| *last == *name);
            let shown = path.parent().filter(|_| usual).unwrap_or(path);
            write!(f, "{} {}", if place == 0 { " in" } else { "," }, shown.display())?;
        }
        if bare.is_empty() { Ok(()) } else { f.write_str(", and where the system's loader looks") }
    }
}

impl std::error::Error for LibraryError {}

/// The library that this process has loaded, and its environment.
#[derive(Clone)]
pub(crate) struct Loaded {
    pub(crate) library: Library,
    pub(crate) environment: Environment,
}

/// ONNX Runtime allows one environment a process, ever; so it is kept.
static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);

/// The library that would be used: loads it if none is loaded yet.
///
/// # Errors
/// [`LibraryError`] with all that was looked for.
pub fn find(search: &Search) -> Result<Library, LibraryError> {
    load(search).map(|loaded| loaded.library)
}

/// Loads the first library that will do; later calls give the same one, unless the caller names another file.
pub(crate) fn load(search: &Search) -> Result<Loaded, LibraryError> {
    let mut kept = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(loaded) = &*kept {
        return match &search.given {
            Some(given) if !same_file(given, &loaded.library.path) => {
                let why = format!("this process has loaded {} already and can load one only", loaded.library.path.display());
                Err(LibraryError { looked: vec![(given.clone(), Refusal::Unusable(why))] })
            }
            _ => Ok(loaded.clone()),
        };
    }
    let mut looked = vec![];
    for path in places(search, &Surroundings::of_process()) {
        match try_load(&path) {
            Ok(loaded) => {
                log::debug!("loaded ONNX Runtime {} from {}", loaded.library.version, path.display());
                return Ok(kept.insert(loaded).clone());
            }
            Err(refusal) => looked.push((path, refusal)),
        }
    }
    Err(LibraryError { looked })
}

fn same_file(one: &Path, other: &Path) -> bool {
    one == other || matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

fn try_load(path: &Path) -> Result<Loaded, Refusal> {
    let by_name = is_bare(path);
    // For a bare name, the crate `ort` asks where the executable is, and panics where that is unknown.
    if by_name && std::env::current_exe().is_err() || !by_name && !path.is_file() {
        return Err(Refusal::Absent);
    }
    crate::telemetry::disable();
    let builder = ort::init_from(path).map_err(|error| match error {
        ort::LoadDynamicError::BadVersion { version_str, .. } => Refusal::TooOld(version_str),
        ort::LoadDynamicError::Dlopen { .. } if by_name => Refusal::Absent,
        other => Refusal::Unusable(other.to_string()),
    })?;
    let logger = |level: LogLevel, category: &str, _: &str, place: &str, message: &str| {
        log::debug!("ONNX Runtime, {level:?}, {category} at {place}: {message}");
    };
    let environment = builder.with_telemetry(false).with_logger(Arc::new(logger)).build();
    let environment = environment.map_err(|error| Refusal::Unusable(error.to_string()))?;
    environment.set_log_level(if log::log_enabled!(log::Level::Debug) { LogLevel::Warning } else { LogLevel::Error });
    Ok(Loaded { library: Library { path: path.into(), version: version(path) }, environment })
}

/// The version of the library that was loaded: all of it where the file's name has it, links followed; else the two parts that
/// the library itself says.
fn version(path: &Path) -> String {
    let Some(minor) = ort::util::probe(path) else { return "unknown".to_owned() };
    let named = path.canonicalize().ok().and_then(|file| version_in(file.file_name()?.to_str()?));
    match named {
        Some(version) if version.len() == 3 && version[..2] == [1, minor] => format!("1.{minor}.{}", version[2]),
        _ => format!("1.{minor}"),
    }
}

/// The version in a library's name: Linux has it behind the ending, macOS before it.
fn version_in(name: &str) -> Option<Vec<u32>> {
    let rest = name.strip_prefix(std::env::consts::DLL_PREFIX)?.strip_prefix("onnxruntime")?;
    let ending = std::env::consts::DLL_SUFFIX;
    let version = rest.strip_prefix(ending).or_else(|| rest.strip_suffix(ending))?.strip_prefix('.')?;
    version.split('.').map(|part| part.parse().ok()).collect()
}

/// Inputs of the search besides the caller's: the environment variable, the path of the executable, the system's library folders.
struct Surroundings {
    variable: Option<PathBuf>,
    executable: Option<PathBuf>,
    system: Vec<PathBuf>,
}

impl Surroundings {
    fn of_process() -> Surroundings {
        Surroundings {
            variable: std::env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from),
            executable: std::env::current_exe().ok(),
            system: system_folders(),
        }
    }
}

/// The files to try, in order. What the caller or the environment names is taken or nothing: a wish that cannot be had is
/// worth a message, not another library.
fn places(search: &Search, around: &Surroundings) -> Vec<PathBuf> {
    if let Some(named) = search.given.as_ref().or(around.variable.as_ref()) {
        return vec![absolute(named)];
    }
    let beside_executable = around.executable.as_ref().and_then(|path| path.parent().map(Path::to_path_buf));
    let folders = beside_executable.into_iter().chain(around.system.iter().cloned());
    // The loader of Windows looks into the current folder for a bare name, and that may be a download.
    let bare = (!cfg!(windows)).then(|| PathBuf::from(file_name()));
    let mut found: Vec<PathBuf> = vec![];
    for path in folders.flat_map(|folder| candidates(&folder)).chain(bare) {
        if !found.contains(&path) {
            found.push(path);
        }
    }
    found
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

fn is_bare(path: &Path) -> bool {
    path.parent().is_none_or(|parent| parent.as_os_str().is_empty())
}

/// The library's usual name here: `libonnxruntime.so`, `libonnxruntime.dylib`, `onnxruntime.dll`.
pub(crate) fn file_name() -> String {
    format!("{}onnxruntime{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

/// The library in a folder: by its usual name, else the newest of those with a version in their names.
fn candidates(folder: &Path) -> Vec<PathBuf> {
    let usual = folder.join(file_name());
    if usual.is_file() {
        return vec![usual];
    }
    let names = folder.read_dir().into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let newest = names.filter_map(|name| Some((version_in(&name)?, name))).max();
    vec![newest.map_or(usual, |(_, name)| folder.join(name))]
}

/// Where this system keeps libraries, relative folders left out: they lead to wherever the process happens to be. On Android an
/// app's own libraries are found by the bare name, and on Windows those of the path.
fn system_folders() -> Vec<PathBuf> {
    let listed = |variable: &str| {
        let folders = std::env::var_os(variable).unwrap_or_default();
        std::env::split_paths(&folders).filter(|folder| folder.is_absolute()).collect::<Vec<_>>()
    };
    let mut folders = vec![];
    if cfg!(windows) {
        folders.extend(listed("PATH"));
    }
    if cfg!(any(target_os = "linux", target_os = "freebsd")) {
        folders.extend(listed("LD_LIBRARY_PATH"));
        let mut triple = String::new();
        // Writing to a string does not fail.
        let _ = write!(triple, "/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
        folders.extend([
            "/usr/local/lib".into(),
            "/usr/local/lib64".into(),
            triple.into(),
            "/usr/lib".into(),
            "/usr/lib64".into(),
        ]);
    }
    if cfg!(target_os = "macos") {
        folders.extend(["/opt/homebrew/lib".into(), "/usr/local/lib".into()]);
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn around(variable: Option<&str>, executable: Option<PathBuf>) -> Surroundings {
        Surroundings { variable: variable.map(PathBuf::from), executable, system: vec!["/usr/lib".into()] }
    }

    #[test]
    fn a_named_library_is_the_only_one() {
        let given = Search { given: Some("/a/lib.so".into()) };
        assert_eq!(places(&given, &around(Some("/b/lib.so"), None)), [PathBuf::from("/a/lib.so")]);
        assert_eq!(places(&Search::default(), &around(Some("/b/lib.so"), None)), [PathBuf::from("/b/lib.so")]);
    }

    #[test]
    fn without_a_name_the_order_is_executable_system() {
        let name = file_name();
        let found = places(&Search::default(), &around(None, Some("/app/kinglet".into())));
        let folders = if cfg!(windows) { &["/app/", "/usr/lib/"][..] } else { &["/app/", "/usr/lib/", ""] };
        let wanted: Vec<PathBuf> = folders.iter().map(|folder| Path::new(folder).join(&name)).collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn no_place_is_where_the_process_happens_to_be() {
        assert!(Surroundings::of_process().system.iter().all(|folder| folder.is_absolute()));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_folder_gives_its_newest_library() {
        let folder = tempfile::tempdir().unwrap();
        for name in
            ["libonnxruntime.so.1.9.0", "libonnxruntime.so.1.32.0", "libonnxruntime_providers_shared.so", "libonnxruntime.so.old"]
        {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(candidates(folder.path()), [folder.path().join("libonnxruntime.so.1.32.0")]);
        fs::write(folder.path().join("libonnxruntime.so"), "").unwrap();
        assert_eq!(candidates(folder.path()), [folder.path().join("libonnxruntime.so")]);
    }

    #[test]
    fn the_message_says_what_was_looked_for_and_what_to_do() {
        let name = file_name();
        let looked = vec![
            ("/models/wren.so".into(), Refusal::Unusable("odd".into())),
            ("/old".into(), Refusal::TooOld("1.9.0".into())),
            (Path::new("/one").join(&name), Refusal::Absent),
            (Path::new("/two").join(&name), Refusal::Absent),
            (PathBuf::from(&name), Refusal::Absent),
        ];
        let message = LibraryError { looked }.to_string();
        let places = format!("looked for {name} in /models/wren.so, /old, /one, /two, and where the system's loader looks");
        for word in ["/models/wren.so does not load: odd", "/old is version 1.9.0", &places, "pip download", VARIABLE] {
            assert!(message.contains(word), "{word}: {message}");
        }
        assert_eq!(try_load(Path::new("/no/such/library")).err(), Some(Refusal::Absent));
    }
}
