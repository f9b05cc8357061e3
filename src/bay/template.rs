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

/// The template sets of this worker, one per distribution.
#[derive(Debug, Clone)]
pub struct Templates(BTreeMap<&'static str, TemplateSet>);

/// Why a directory of templates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the template file {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("no {ROOT} in {}", directory.display())]
    NoRoot { directory: PathBuf },
    #[error("{} has no template set: it needs a directory {}", directory.display(), DISTRIBUTIONS.join(" or "))]
    NoSet { directory: PathBuf },
    #[error("{} is deeper than {MAX_DEPTH} directories: is it a loop of links?", path.display())]
    TooDeep { path: PathBuf },
    #[error("{file} refers to `{reference}`, which is not in the directory")]
    Missing { file: String, reference: String },
}

const ROOT: &str = "mesos.yaml";
const MAX_DEPTH: usize = 4;

/// The directory of what the sets have in common. A distribution's own file takes the place of a common one.
const COMMON: &str = "common";
const DISTRIBUTIONS: [&str; 3] = ["ubuntu", "centos", "coreos"];

macro_rules! embedded {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../config/heat/", $name)))),+]
    };
}

/// Every file below `config/heat`.
const EMBEDDED: &[(&str, &str)] = embedded![
    "common/mesos.yaml",
    "common/network.yaml",
    "common/port.yaml",
    "common/balancer.yaml",
    "common/member.yaml",
    "common/master.yaml",
    "common/agent.yaml",
    "common/user_data.yaml",
    "common/scripts/json.sh",
    "common/scripts/tls.sh",
    "common/scripts/node.sh",
    "common/scripts/master.sh",
    "common/scripts/agent.sh",
    "ubuntu/scripts/platform.sh",
    "centos/scripts/platform.sh",
    "coreos/user_data.yaml",
    "coreos/scripts/json.sh",
    "coreos/scripts/platform.sh",
];

impl Templates {
    /// The sets this binary was built with.
    pub fn embedded() -> Self {
        let files = EMBEDDED.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        Self::from_files(Path::new("the binary"), &files).expect("a test checks the embedded sets")
    }

    /// The sets below a directory laid out like `config/heat`. Of a distribution that has no directory there,
    /// no bay can be built.
    pub fn from_dir(directory: &Path) -> Result<Self, Error> {
        let mut files = BTreeMap::new();
        read_files(directory, "", MAX_DEPTH, &mut files)?;
        Self::from_files(directory, &files)
    }

    fn from_files(directory: &Path, files: &BTreeMap<String, String>) -> Result<Self, Error> {
        let below = |part: &str| {
            let files = files.iter().filter_map(|(name, text)| {
                let name = name.strip_prefix(part)?.strip_prefix('/')?;
                Some((name.to_owned(), text.clone()))
            });
            files.collect::<BTreeMap<_, _>>()
        };
        let mut sets = BTreeMap::new();
        for distribution in DISTRIBUTIONS {
            let own = below(distribution);
            if !own.is_empty() {
                let mut files = below(COMMON);
                files.extend(own);
                sets.insert(distribution, TemplateSet::from_files(&directory.join(distribution), files)?);
            }
        }
        match sets.is_empty() {
            true => Err(Error::NoSet { directory: directory.to_owned() }),
            false => Ok(Self(sets)),
        }
    }

    /// The set for bays of a distribution, as bay models name it.
    pub fn for_distro(&self, distribution: &str) -> Option<&TemplateSet> {
        self.0.get(known_distro(distribution)?)
    }
}

/// The name by which sets know what a bay model names.
pub fn known_distro(distribution: &str) -> Option<&'static str> {
    let name = if distribution == "fedora-coreos" { "coreos" } else { distribution };
    DISTRIBUTIONS.into_iter().find(|known| *known == name)
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
        let mut words = name.split([' ', ',', '}', ']', '"', '\'']);
        let name = words.find(|word| !word.is_empty())?;
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

    fn ubuntu(templates: &Templates) -> &TemplateSet {
        templates.for_distro("ubuntu").unwrap()
    }

    #[test]
    fn every_distribution_has_a_set_and_its_own_files_win() {
        let embedded = Templates::embedded();
        for distribution in DISTRIBUTIONS {
            let set = embedded.for_distro(distribution).unwrap();
            assert_eq!(set.root, ubuntu(&embedded).root);
            assert!(set.files.contains_key("scripts/platform.sh"), "{distribution}");
        }
        let user_data = |distribution| &embedded.for_distro(distribution).unwrap().files["user_data.yaml"];
        assert_eq!(user_data("ubuntu"), user_data("centos"));
        assert!(user_data("coreos").contains("ignition:"));
    }

    #[test]
    fn fedora_coreos_is_the_later_name_of_coreos() {
        let embedded = Templates::embedded();
        assert_eq!(embedded.for_distro("fedora-coreos"), embedded.for_distro("coreos"));
        for unknown in ["common", "debian", "Ubuntu", ""] {
            assert_eq!(embedded.for_distro(unknown), None);
        }
    }

    #[test]
    fn the_directory_the_sets_were_embedded_from_reads_as_the_same_sets() {
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/heat");
        assert_eq!(Templates::from_dir(&config).unwrap().0, Templates::embedded().0);
    }

    #[test]
    fn a_distribution_without_a_directory_has_no_set() {
        let directory = directory(&[("mesos.yaml", "")]);
        let templates = Templates::from_dir(directory.path()).unwrap();
        assert!(templates.for_distro("ubuntu").is_some() && templates.for_distro("centos").is_none());
        let empty = tempfile::tempdir().unwrap();
        let error = Templates::from_dir(empty.path()).unwrap_err().to_string();
        assert!(
            error.ends_with("has no template set: it needs a directory ubuntu or centos or coreos"),
            "{error}"
        );
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
        assert_eq!(ubuntu(&templates).root, files[0].1);
        let nested: Vec<_> = ubuntu(&templates).files.keys().collect();
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
            ("- [a, {b: {get_file: gone.sh}, c: d}]", "gone.sh"),
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
        assert_eq!(error.to_string(), "cannot read the template file /nowhere");
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
