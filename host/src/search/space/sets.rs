//! Search spaces with names.

use super::{CellShape, Hyperparameters, Operation, Primitive, Skeleton, Space};
use crate::text::nearest;
use crate::{Error, Result};

/// Rules of BioNAS, by the suffixes of its operations.
pub const SUFFIXES: [(&str, &str); 4] = [
    ("u", "feedback-alignment/usf"),
    ("br", "feedback-alignment/brsf"),
    ("fr", "feedback-alignment/frsf"),
    ("fa", "feedback-alignment/fa"),
];

/// Suffixes of its skips, in the order of its list.
pub const SKIP_SUFFIXES: [(&str, &str); 3] = [
    ("u", "feedback-alignment/usf"),
    ("f", "feedback-alignment/frsf"),
    ("b", "feedback-alignment/brsf"),
];

/// Names and what they are.
pub const NAMES: [(&str, &str); 5] = [
    (
        "darts",
        "8 operations of DARTS, by backpropagation (Liu et al. 2019)",
    ),
    (
        "egnas",
        "7 operations of EG-NAS, a quarter of the channels mixed (Cai et al. 2024)",
    ),
    (
        "bionas",
        "20 pairs of operation and rule: those of BioNAS with one skip in place of three",
    ),
    (
        "bionas22",
        "22 pairs as BioNAS has them, three of which are one function at stride 1",
    ),
    (
        "nasbench201",
        "5 operations of NAS-Bench-201, in cells of another shape (Dong and Yang 2020)",
    ),
];

const SEPARABLE: [Operation; 4] = [
    Operation::SepConv(3),
    Operation::SepConv(5),
    Operation::DilConv(3),
    Operation::DilConv(5),
];

/// The space `name`.
///
/// # Errors
/// Usage error with the nearest name.
pub fn named(name: &str) -> Result<Space> {
    let (skeleton, candidates, pool_norm, partial) = match name {
        "darts" => (Skeleton::Darts, darts(), true, 1),
        "egnas" => (Skeleton::Darts, egnas(), false, 4),
        "bionas" => (Skeleton::Darts, bionas(false), true, 1),
        "bionas22" => (Skeleton::Darts, bionas(true), true, 1),
        "nasbench201" => (Skeleton::NasBench201, nasbench201(), false, 1),
        _ => {
            let e = Error::usage(format!("unknown search space `{name}`"));
            let names = NAMES.iter().map(|(name, _)| *name);
            return Err(match nearest(name, names.clone()) {
                Some(near) => e.hint(format!("did you mean `{near}`?")),
                None => {
                    let all: Vec<&str> = names.collect();
                    e.hint(format!(
                        "there are `{}`, or give `operations`",
                        all.join("`, `")
                    ))
                }
            });
        }
    };
    Ok(Space {
        name: name.to_owned(),
        skeleton,
        cell: match skeleton {
            Skeleton::Darts => CellShape::darts(4),
            Skeleton::NasBench201 => CellShape::nasbench201(),
        },
        candidates,
        params: Hyperparameters::new(),
        pool_norm,
        partial,
    })
}

fn darts() -> Vec<Primitive> {
    let free = [
        Operation::None,
        Operation::MaxPool,
        Operation::AvgPool,
        Operation::Skip,
    ];
    free.into_iter()
        .chain(SEPARABLE)
        .map(Primitive::plain)
        .collect()
}

fn egnas() -> Vec<Primitive> {
    let free = [Operation::AvgPool, Operation::MaxPool, Operation::Skip];
    free.into_iter()
        .chain(SEPARABLE)
        .map(Primitive::plain)
        .collect()
}

fn bionas(literal: bool) -> Vec<Primitive> {
    let free = [Operation::None, Operation::MaxPool, Operation::AvgPool];
    let mut all: Vec<Primitive> = free.map(Primitive::plain).into();
    match literal {
        true => all.extend(SKIP_SUFFIXES.map(|(_, rule)| Primitive::new(Operation::Skip, rule))),
        false => all.push(Primitive::plain(Operation::Skip)),
    }
    for operation in SEPARABLE {
        all.extend(SUFFIXES.map(|(_, rule)| Primitive::new(operation, rule)));
    }
    all
}

fn nasbench201() -> Vec<Primitive> {
    [
        Operation::None,
        Operation::Skip,
        Operation::Conv(1),
        Operation::Conv(3),
        Operation::AvgPool,
    ]
    .map(Primitive::plain)
    .into()
}
