//! From labels as files have them, counted from 0, from 1, or words, to class numbers from 0.

use std::collections::BTreeSet;

use super::options::{MOST_CLASSES, Options};
use crate::{Error, Result};

/// Labels of one part as they stand in its file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Labels {
    /// Whole numbers.
    Numbers(Vec<i64>),
    /// Words.
    Words(Vec<String>),
    /// Class numbers of classes whose names are known (folders).
    Named(Vec<u32>, Vec<String>),
}

/// Class numbers of the parts, in their order.
#[derive(Debug)]
pub(crate) struct Numbered {
    pub parts: Vec<Vec<u32>>,
    pub classes: usize,
    /// Names of the classes, or empty where the number is the name.
    pub names: Vec<String>,
    /// What was done, where it is not plain.
    pub note: Option<String>,
}

/// Numbers the classes of all `parts` together.
///
/// # Errors
/// Usage errors where the options do not fit what is there, data errors for labels that cannot be
/// classes.
pub(crate) fn number(parts: Vec<Labels>, options: &Options) -> Result<Numbered> {
    let parts: Vec<Labels> = if parts.iter().all(is_whole) {
        parts.into_iter().map(as_numbers).collect()
    } else {
        parts
    };
    let mut numbered = if parts.iter().all(|p| matches!(p, Labels::Numbers(_))) {
        whole_numbers(&parts, options)?
    } else {
        words(&parts)?
    };
    if let Some(classes) = options.num_classes {
        if classes < numbered.classes {
            return Err(Error::usage(format!(
                "`data.options.num_classes` is {classes}, but there are {} classes",
                numbered.classes
            )));
        }
        if !numbered.names.is_empty() {
            let more = numbered.classes..classes;
            numbered.names.extend(more.map(|c| c.to_string()));
        }
        numbered.classes = classes;
    }
    Ok(numbered)
}

fn is_whole(labels: &Labels) -> bool {
    match labels {
        Labels::Numbers(_) => true,
        Labels::Words(words) => words.iter().all(|w| w.parse::<i64>().is_ok()),
        Labels::Named(..) => false,
    }
}

fn as_numbers(labels: Labels) -> Labels {
    match labels {
        Labels::Words(words) => {
            Labels::Numbers(words.iter().filter_map(|w| w.parse().ok()).collect())
        }
        other => other,
    }
}

/// How whole numbers become class numbers.
fn whole_numbers(parts: &[Labels], options: &Options) -> Result<Numbered> {
    let numbers = || {
        parts.iter().filter_map(|p| match p {
            Labels::Numbers(n) => Some(n),
            _ => None,
        })
    };
    let distinct: BTreeSet<i64> = numbers().flatten().copied().collect();
    let (Some(&low), Some(&high)) = (distinct.first(), distinct.last()) else {
        return Err(Error::data("there is no label"));
    };
    let too_many = |count: u64| {
        Error::data(format!("labels {low} to {high} would be {count} classes"))
            .hint("targets that are no classes need `data.options.task = \"regression\"`, where the set has it")
    };
    if distinct.len() > MOST_CLASSES {
        return Err(too_many(distinct.len() as u64));
    }
    let span = high.abs_diff(low).saturating_add(1);
    // Far fewer labels than numbers between them: the numbers are names.
    let sparse = span > 2 * distinct.len() as u64 + 32;
    let first = match options.first_label {
        Some(first) if low < i64::from(first) => {
            return Err(Error::usage(format!(
                "`data.options.first_label` is {first}, but there is a label {low}"
            )));
        }
        Some(first) => Some(i64::from(first)),
        None if sparse => None,
        None => (0..=1).contains(&low).then_some(low),
    };
    let Some(first) = first else {
        let all: Vec<i64> = distinct.into_iter().collect();
        let class = |n: &i64| all.binary_search(n).unwrap_or(0) as u32;
        return Ok(Numbered {
            parts: numbers().map(|n| n.iter().map(class).collect()).collect(),
            classes: all.len(),
            names: all.iter().map(ToString::to_string).collect(),
            note: Some(format!(
                "labels {low} to {high} are numbered in their order, from 0 to {}",
                all.len() - 1
            )),
        });
    };
    let classes = high.abs_diff(first).saturating_add(1);
    if classes > MOST_CLASSES as u64 {
        return Err(too_many(classes));
    }
    let classes = classes as usize;
    let shift = |n: &i64| (n - first) as u32;
    let (names, note) = match first {
        0 => (Vec::new(), None),
        _ => (
            (1..=classes).map(|c| c.to_string()).collect(),
            Some(format!(
                "labels count from 1: label 1 is class 0, label {high} class {}",
                classes - 1
            )),
        ),
    };
    Ok(Numbered {
        parts: numbers().map(|n| n.iter().map(shift).collect()).collect(),
        classes,
        names,
        note,
    })
}

/// Words are classes in their alphabetical order, as torchvision has it.
fn words(parts: &[Labels]) -> Result<Numbered> {
    let mut names = BTreeSet::new();
    for part in parts {
        match part {
            Labels::Words(words) => names.extend(words.iter().cloned()),
            Labels::Named(_, known) => names.extend(known.iter().cloned()),
            Labels::Numbers(numbers) => names.extend(numbers.iter().map(ToString::to_string)),
        }
    }
    if names.len() > MOST_CLASSES {
        return Err(Error::data(format!("{} different labels", names.len())));
    }
    let names: Vec<String> = names.into_iter().collect();
    let class = |word: &str| {
        let at = names.binary_search_by(|n| n.as_str().cmp(word));
        at.unwrap_or(0) as u32
    };
    let one = |part: &Labels| -> Vec<u32> {
        match part {
            Labels::Words(words) => words.iter().map(|w| class(w)).collect(),
            Labels::Numbers(numbers) => numbers.iter().map(|n| class(&n.to_string())).collect(),
            Labels::Named(labels, known) => {
                let map: Vec<u32> = known.iter().map(|k| class(k)).collect();
                labels.iter().map(|l| map[*l as usize]).collect()
            }
        }
    };
    Ok(Numbered {
        parts: parts.iter().map(one).collect(),
        classes: names.len(),
        names,
        note: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(numbers: &[i64]) -> Result<Numbered> {
        number(vec![Labels::Numbers(numbers.to_vec())], &Options::default())
    }

    #[test]
    fn labels_from_0_from_1_and_anywhere_become_classes() {
        let zero = plain(&[0, 9, 4]).unwrap();
        assert_eq!((zero.classes, zero.parts[0].clone()), (10, vec![0, 9, 4]));
        assert!(zero.names.is_empty() && zero.note.is_none());
        let one = plain(&[26, 1]).unwrap();
        assert_eq!((one.classes, one.parts[0].clone()), (26, vec![25, 0]));
        assert_eq!(one.names[25], "26");
        assert!(one.note.unwrap().contains("from 1"));
        let far = plain(&[1000, -1, 1000]).unwrap();
        assert_eq!((far.classes, far.parts[0].clone()), (2, vec![1, 0, 1]));
        assert_eq!(far.names, ["-1", "1000"]);
        assert!(plain(&[]).is_err());
        assert!(plain(&(0..70_000).collect::<Vec<_>>()).is_err());
        assert_eq!(plain(&[i64::MIN, i64::MAX]).unwrap().classes, 2);
    }

    #[test]
    fn options_override_what_is_seen() {
        let with = |options: Options| number(vec![Labels::Numbers(vec![1, 2])], &options);
        let from = with(Options {
            first_label: Some(0),
            num_classes: Some(5),
            ..Options::default()
        });
        assert_eq!(from.as_ref().unwrap().parts[0], [1, 2]);
        assert_eq!(from.unwrap().classes, 5);
        let few = with(Options {
            first_label: Some(0),
            num_classes: Some(2),
            ..Options::default()
        });
        assert!(few.unwrap_err().text.contains("there are 3 classes"));
    }

    #[test]
    fn words_are_classes_in_alphabetical_order_over_all_parts() {
        let words = |w: &[&str]| Labels::Words(w.iter().map(ToString::to_string).collect());
        let both = number(
            vec![words(&["dog", "cat"]), words(&["ant"])],
            &Options::default(),
        )
        .unwrap();
        assert_eq!(both.parts, [vec![2, 1], vec![0]]);
        assert_eq!(both.names, ["ant", "cat", "dog"]);
        let digits = number(vec![words(&["10", "9", "1"])], &Options::default()).unwrap();
        assert_eq!(digits.parts[0], [9, 8, 0]);
    }
}
