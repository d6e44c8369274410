//! The program's own experiments: the files of `configs/reproduce`, compiled in. Their names are their
//! paths there without the ending, such as `softhebb/cifar10-3`, and stand wherever a configuration file
//! may; a file of that name goes first.

use std::path::Path;

use super::value::nearest;

/// Name and text of each, by name. Made by `build.rs`.
const ALL: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/experiments.rs"));

/// Names of all, in order.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, _)| *name)
}

/// The text of the experiment `name`.
#[must_use]
pub fn text(name: &str) -> Option<&'static str> {
    let found = ALL.iter().find(|(own, _)| *own == name);
    found.map(|(_, text)| *text)
}

/// The name of the experiment that `file` stands for: it is no file but a name, or a file with an
/// experiment's text.
#[must_use]
pub fn of_file(file: &Path) -> Option<&'static str> {
    if !file.is_file() {
        let found = ALL.iter().find(|(name, _)| file == Path::new(name));
        return found.map(|(name, _)| *name);
    }
    let size = std::fs::metadata(file).ok()?.len();
    if !ALL.iter().any(|(_, text)| text.len() as u64 == size) {
        return None;
    }
    let own = std::fs::read_to_string(file).ok()?;
    let found = ALL.iter().find(|(_, text)| *text == own);
    found.map(|(name, _)| *name)
}

/// The name that was probably meant by `name`, which is none.
#[must_use]
pub fn near(name: &str) -> Option<String> {
    let name = name.strip_suffix(".toml").unwrap_or(name);
    let name = name.strip_prefix("configs/reproduce/").unwrap_or(name);
    let of_project = |project: String| names().filter(move |n| n.starts_with(project.as_str()));
    // Alike in the part behind the project, which most names of it share.
    if let Some((project, rest)) = name.rsplit_once('/') {
        let inside = of_project(format!("{project}/"));
        let rests: Vec<&str> = inside
            .filter_map(|n| n.rsplit_once('/'))
            .map(|n| n.1)
            .collect();
        if let Some(near) = nearest(rest, rests) {
            return Some(format!("{project}/{near}"));
        }
    }
    if let Some(near) = nearest(name, names()) {
        return Some(near.to_owned());
    }
    // The end of a name alone.
    let end = format!("/{name}");
    let mut ending = names().filter(|n| n.ends_with(&end));
    let first = ending.next()?;
    ending.next().is_none().then(|| first.to_owned())
}

/// Name and text of each, by name.
pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    ALL.iter().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_name_gets_the_nearest() {
        for (wrong, meant) in [
            ("softhebb/cifar10_3", "softhebb/cifar10-3"),
            ("softheb/cifar10-3", "softhebb/cifar10-3"),
            (
                "configs/reproduce/softhebb/cifar10-33.toml",
                "softhebb/cifar10-3",
            ),
            ("bioflax/pb", "bioflax/bp"),
        ] {
            assert_eq!(near(wrong).as_deref(), Some(meant), "{wrong}");
        }
        assert_eq!(near("nothing like it at all"), None);
    }

    #[test]
    fn a_file_is_the_experiment_whose_text_it_has() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("mine.toml");
        let text = text("softhebb/cifar10-1").unwrap();
        std::fs::write(&file, text).unwrap();
        assert_eq!(of_file(&file), Some("softhebb/cifar10-1"));
        std::fs::write(&file, text.replace("softhebb", "Softhebb")).unwrap();
        assert_eq!(of_file(&file), None);
        assert_eq!(
            of_file(Path::new("softhebb/cifar10-1")),
            Some("softhebb/cifar10-1")
        );
        assert_eq!(of_file(Path::new("softhebb/none")), None);
    }
}
