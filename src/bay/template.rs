//! The Heat templates bays are built from: embedded in the binary, or read from a directory at start.
//!
//! Reading that directory is the domain's one touch of a file system; it happens before anything is served,
//! so that a broken set stops the start and not a bay.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A root template and what it refers to, as Heat's API takes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateSet {
    /// The text of the root template.
    pub root: String,
    /// Nested templates and scripts, by the names the templates call them.
    pub files: BTreeMap<String, String>,
}

/// The template sets of this worker, one per kind of bay.
#[derive(Debug, Clone)]
pub struct Templates {
    ubuntu: TemplateSet,
}

/// Why a directory of templates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the template file {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("no {ROOT} in {}", directory.display())]
    NoRoot { directory: PathBuf },
    #[error("{} is deeper than {MAX_DEPTH} directories: is it a loop of links?", path.display())]
    TooDeep { path: PathBuf },
    #[error("{file} refers to `{reference}`, which is not in the directory")]
    Missing { file: String, reference: String },
}

const ROOT: &str = "mesos.yaml";
const MAX_DEPTH: usize = 4;

const UBUNTU: &[(&str, &str)] = &[
    (ROOT, include_str!("../../config/heat/ubuntu/mesos.yaml")),
    ("network.yaml", include_str!("../../config/heat/ubuntu/network.yaml")),
    ("port.yaml", include_str!("../../config/heat/ubuntu/port.yaml")),
    ("master.yaml", include_str!("../../config/heat/ubuntu/master.yaml")),
    ("agent.yaml", include_str!("../../config/heat/ubuntu/agent.yaml")),
    ("scripts/node.sh", include_str!("../../config/heat/ubuntu/scripts/node.sh")),
    ("scripts/master.sh", include_str!("../../config/heat/ubuntu/scripts/master.sh")),
    ("scripts/agent.sh", include_str!("../../config/heat/ubuntu/scripts/agent.sh")),
];

impl Templates {
    /// The sets this binary was built with.
    pub fn embedded() -> Self {
        let files = UBUNTU.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let ubuntu =
            TemplateSet::from_files(Path::new("the binary"), files).expect("a test checks the embedded set");
        Self { ubuntu }
    }

    /// The sets below a directory laid out like `config/heat`.
    pub fn from_dir(directory: &Path) -> Result<Self, Error> {
        let directory = directory.join("ubuntu");
        let mut files = BTreeMap::new();
        read_files(&directory, "", MAX_DEPTH, &mut files)?;
        Ok(Self { ubuntu: TemplateSet::from_files(&directory, files)? })
    }

    /// The set for Mesos on virtual machines with Ubuntu.
    pub fn ubuntu(&self) -> &TemplateSet {
        &self.ubuntu
    }
}

impl TemplateSet {
    fn from_files(directory: &Path, mut files: BTreeMap<String, String>) -> Result<Self, Error> {
        for (file, text) in files.iter().filter(|(name, _)| name.ends_with(".yaml")) {
            for reference in references(text) {
                if !files.contains_key(reference) {
                    return Err(Error::Missing { file: file.clone(), reference: reference.to_owned() });
                }
            }
        }
        let root = files.remove(ROOT).ok_or_else(|| Error::NoRoot { directory: directory.to_owned() })?;
        Ok(Self { root, files })
    }
}

/// What a template needs from its set: its `get_file`s, and the types of its resources that are templates.
fn references(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let name = match line.split_once("get_file:") {
            Some((_, name)) => name,
            None => line.trim_start().trim_start_matches("- ").strip_prefix("type:")?,
        };
        let name = name.trim_matches([' ', '}', '"', '\'']);
        (line.contains("get_file:") || name.ends_with(".yaml")).then_some(name)
    })
}

/// Reads every file below `directory` except hidden ones, which is where editors and config maps keep their
/// own.
fn read_files(
    directory: &Path,
    prefix: &str,
    depth: usize,
    files: &mut BTreeMap<String, String>,
) -> Result<(), Error> {
    if depth == 0 {
        return Err(Error::TooDeep { path: directory.to_owned() });
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Read { path, source }
    };
    for entry in fs::read_dir(directory).map_err(failed(directory))? {
        let entry = entry.map_err(failed(directory))?;
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let name = format!("{prefix}{name}");
        if fs::metadata(&path).map_err(failed(&path))?.is_dir() {
            read_files(&path, &format!("{name}/"), depth - 1, files)?;
        } else {
            files.insert(name, fs::read_to_string(&path).map_err(failed(&path))?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join("ubuntu").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        directory
    }

    #[test]
    fn the_embedded_set_is_complete() {
        let embedded = Templates::embedded();
        let nested: Vec<_> = embedded.ubuntu().files.keys().map(String::as_str).collect();
        assert_eq!(nested.len(), UBUNTU.len() - 1);
        for name in ["network.yaml", "master.yaml", "agent.yaml", "scripts/node.sh"] {
            assert!(nested.contains(&name), "{name}");
        }
    }

    #[test]
    fn the_directory_the_set_was_embedded_from_reads_as_the_same_set() {
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/heat");
        assert_eq!(Templates::from_dir(&config).unwrap().ubuntu(), Templates::embedded().ubuntu());
    }

    #[test]
    fn a_directory_replaces_the_whole_set() {
        let files = [
            ("mesos.yaml", "resources:\n  a:\n    type: a.yaml\n"),
            ("a.yaml", "content: {get_file: sub/b.sh}"),
            ("sub/b.sh", "true"),
            (".swap", "no"),
        ];
        let directory = directory(&files);
        let templates = Templates::from_dir(directory.path()).unwrap();
        assert_eq!(templates.ubuntu().root, files[0].1);
        let nested: Vec<_> = templates.ubuntu().files.keys().collect();
        assert_eq!(nested, ["a.yaml", "sub/b.sh"]);
    }

    #[test]
    fn a_directory_without_a_root_is_refused() {
        let directory = directory(&[("master.yaml", "")]);
        let error = Templates::from_dir(directory.path()).unwrap_err();
        assert!(matches!(error, Error::NoRoot { .. }), "{error}");
        assert!(error.to_string().starts_with("no mesos.yaml in /"), "{error}");
    }

    #[test]
    fn a_reference_to_a_file_that_is_not_there_is_refused() {
        for (text, reference) in [
            ("  - type: gone.yaml", "gone.yaml"),
            ("type: \"gone.yaml\"", "gone.yaml"),
            ("content: {get_file: gone.sh}", "gone.sh"),
            ("get_file: 'gone.sh'", "gone.sh"),
        ] {
            let directory = directory(&[("mesos.yaml", text)]);
            let error = Templates::from_dir(directory.path()).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("mesos.yaml refers to `{reference}`, which is not in the directory")
            );
        }
    }

    #[test]
    fn a_directory_that_cannot_be_read_is_named() {
        let error = Templates::from_dir(Path::new("/nowhere")).unwrap_err();
        assert_eq!(error.to_string(), "cannot read the template file /nowhere/ubuntu");
    }

    #[cfg(unix)]
    #[test]
    fn a_loop_of_links_ends() {
        let directory = directory(&[("mesos.yaml", "")]);
        let looped = directory.path().join("ubuntu");
        std::os::unix::fs::symlink(&looped, looped.join("again")).unwrap();
        assert!(matches!(Templates::from_dir(directory.path()), Err(Error::TooDeep { .. })));
    }
}
