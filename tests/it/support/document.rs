//! Parts of documents that a test run writes: what it saw stands in the document, or the test fails.

use std::path::Path;
use std::sync::Mutex;

/// Tests run at once; parts of one document are written one after the other.
static WRITING: Mutex<()> = Mutex::new(());

/// Compares the part of a document between `<!-- generated: NAME -->` and `<!-- end: NAME -->` with what was seen;
/// with `CONDUCTOR_UPDATE_DOCS` set it is written instead.
///
/// # Panics
/// When the document has no such part, or another text in it.
pub(crate) fn generated(document: &str, name: &str, seen: &str) {
    let _writing = WRITING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{document}: {error}"));
    let (opening, closing) = (format!("<!-- generated: {name} -->\n"), format!("<!-- end: {name} -->"));
    let part = text.split_once(&opening).and_then(|(before, rest)| {
        let (part, after) = rest.split_once(&closing)?;
        Some((before, part, after))
    });
    let Some((before, part, after)) = part else { panic!("{document} has no part `{name}`") };
    if std::env::var_os("CONDUCTOR_UPDATE_DOCS").is_some() {
        let written = format!("{before}{opening}{seen}{closing}{after}");
        std::fs::write(&path, written).unwrap_or_else(|error| panic!("{document}: {error}"));
        return;
    }
    assert_eq!(
        part, seen,
        "{document}: the part `{name}` is not what this run saw; CONDUCTOR_UPDATE_DOCS=1 writes it anew"
    );
}
