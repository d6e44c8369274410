//! `data.classes`: a choice of classes, by number or name, and the labels that the chosen ones get.

use super::targets::Targets;
use crate::plan::ClassRef;
use crate::{Error, Result};

/// The label of each entry of `chosen` in `set`, which has `classes` classes named `names` (or
/// none). Entries keep their order.
///
/// # Errors
/// A usage error for a class that is not there, and for one that is listed twice.
pub(crate) fn resolve(
    chosen: &[ClassRef],
    set: &str,
    classes: usize,
    names: &[String],
) -> Result<Vec<u32>> {
    let mut labels = Vec::with_capacity(chosen.len());
    if classes == 0 && !chosen.is_empty() {
        return Err(Error::usage(format!(
            "`data.classes` is set, but `{set}` has no classes: its targets are numbers"
        )));
    }
    for entry in chosen {
        let label = match entry {
            ClassRef::Number(label) => (*label as usize).lt(&classes).then_some(*label),
            ClassRef::Name(name) => names
                .iter()
                .position(|n| n == name)
                .map(|at| at as u32)
                .or_else(|| name.parse().ok().filter(|l| (*l as usize) < classes)),
        };
        let label = label.ok_or_else(|| unknown(entry, set, classes, names))?;
        if labels.contains(&label) {
            return Err(Error::usage(format!("`data.classes` lists {entry} twice"))
                .hint("list each class once"));
        }
        labels.push(label);
    }
    Ok(labels)
}

fn unknown(entry: &ClassRef, set: &str, classes: usize, names: &[String]) -> Error {
    let e = Error::usage(format!(
        "`data.classes` has class {entry}; `{set}` has {classes}: 0 to {}",
        classes.saturating_sub(1)
    ));
    match entry {
        ClassRef::Name(name) => {
            match crate::config::nearest(name, names.iter().map(String::as_str)) {
                Some(near) => e.hint(format!("did you mean `{near}`?")),
                None => e.hint("`biorule data show` lists the classes"),
            }
        }
        ClassRef::Number(_) => e,
    }
}

/// The label of samples that `data.classes` leaves out; no sample that is used has it.
pub(crate) const LEFT_OUT: u32 = super::answers::UNLABELLED;

/// Targets in which class `kept[i]` has label i and the others are [`LEFT_OUT`].
pub(crate) fn renumbered(targets: &Targets, kept: &[u32]) -> Targets {
    let Targets::Labels { labels, names, .. } = targets else {
        return targets.clone();
    };
    let number = |label: &u32| {
        let at = kept.iter().position(|k| k == label);
        at.map_or(LEFT_OUT, |at| at as u32)
    };
    let name = |label: &u32| {
        let name = names.get(*label as usize).cloned();
        name.unwrap_or_else(|| label.to_string())
    };
    Targets::Labels {
        labels: labels.iter().map(number).collect(),
        classes: kept.len(),
        names: kept.iter().map(name).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_found_by_number_and_name_and_keep_their_order() {
        let names: Vec<String> = ["cat", "dog", "eel"].map(String::from).to_vec();
        let read = |chosen: &[ClassRef]| resolve(chosen, "pets", 3, &names);
        let name = |n: &str| ClassRef::Name(n.to_owned());
        assert_eq!(read(&[name("eel"), 0.into()]).unwrap(), [2, 0]);
        assert_eq!(read(&[name("1")]).unwrap(), [1]);
        for (chosen, text) in [
            (vec![3.into()], "has class 3; `pets` has 3: 0 to 2"),
            (vec![name("dgo")], "did you mean `dog`?"),
            (vec![name("dog"), 1.into()], "lists 1 twice"),
        ] {
            let e = read(&chosen).unwrap_err().to_string();
            assert!(e.contains(text), "{e}");
        }
        assert!(resolve(&[0.into()], "sine", 0, &[]).is_err());
    }

    #[test]
    fn kept_classes_are_numbered_in_the_order_of_the_list() {
        let targets = Targets::Labels {
            labels: vec![5, 3, 1, 5],
            classes: 10,
            names: Vec::new(),
        };
        let Targets::Labels {
            labels,
            classes,
            names,
        } = renumbered(&targets, &[5, 3])
        else {
            panic!("labels")
        };
        assert_eq!((labels, classes), (vec![0, 1, LEFT_OUT, 0], 2));
        assert_eq!(names, ["5", "3"]);
    }
}
