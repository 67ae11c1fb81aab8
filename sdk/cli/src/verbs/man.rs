//! `kinglet man`: the manual.

use crate::arguments::Common;
use crate::failure::Failure;
use crate::help;
use crate::output::Output;
use clap::Args;
use clap_mangen::Man;
use serde::Serialize;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The manual page, or a folder of pages, one a verb
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet man | man -l -
  kinglet man ~/.local/share/man/man1 && man kinglet-run")]
pub(crate) struct Arguments {
    /// The folder to write a page for each verb to; without it, the page of the command goes to stdout
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// JSON output of `kinglet man DIR`.
#[derive(Serialize)]
struct Written<'a> {
    folder: &'a Path,
    pages: usize,
}

pub(crate) fn run(common: &Common, arguments: &Arguments, out: &mut Output) -> Result<(), Failure> {
    let Some(folder) = &arguments.folder else {
        let mut page = Vec::new();
        Man::new(help::command(true)).render(&mut page)?;
        return out.text(&String::from_utf8_lossy(&page));
    };
    let pages = write(folder).map_err(|error| {
        Failure::failed(format!("the manual cannot be written to `{}` ({error}); check the path and the disk", folder.display()))
    })?;
    if common.json {
        return out.json(&Written { folder, pages });
    }
    let shown = folder.display();
    out.line(&format!("{shown}: {pages} pages; `man -l {shown}/kinglet-run.1` shows one"))
}

/// Writes a page for the command and each verb; gives how many there are.
fn write(folder: &Path) -> io::Result<usize> {
    fs::create_dir_all(folder)?;
    clap_mangen::generate_to(help::command(true), folder)?;
    let is_ours = |entry: &fs::DirEntry| entry.file_name().to_str().is_some_and(|name| name.starts_with("kinglet"));
    Ok(fs::read_dir(folder)?.flatten().filter(is_ours).count())
}
