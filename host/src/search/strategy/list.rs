//! A list of genotypes: each is evaluated, and none is chosen by what came of another.

use std::path::Path;

use super::agenda::{Answer, Origin, Request, Scene, Strategy};
use crate::search::genotype::Genotype;
use crate::{Error, ExitCode, Result};

/// Asks about the genotypes of a file, in its order.
pub struct Listed {
    genotypes: Vec<Genotype>,
}

impl Listed {
    /// Reads `file`: a genotype's JSON a line, as `biorule genotype random --count` writes them, or a
    /// list of them.
    ///
    /// # Errors
    /// Usage error with the place of what is no genotype, or none of the scene's space.
    pub fn read(scene: &Scene, file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).map_err(|e| {
            Error::io(ExitCode::Usage, file, &e)
                .within("`search.strategy.file`")
                .hint("`biorule genotype random --count 20 -o FILE` writes one")
        })?;
        Self::of(scene, &text).map_err(|e| e.within(format!("`{}`", file.display())))
    }

    /// [`Listed::read`] of the text of a file.
    ///
    /// # Errors
    /// As there.
    pub fn of(scene: &Scene, text: &str) -> Result<Self> {
        let items: Vec<(String, String)> = match text.trim_start().starts_with('[') {
            true => {
                let list: Vec<serde_json::Value> = serde_json::from_str(text).map_err(|e| {
                    Error::usage(format!("line {}, column {}: {e}", e.line(), e.column()))
                        .hint("write a genotype's JSON a line, or a list of them")
                })?;
                let named = list.iter().enumerate();
                named
                    .map(|(i, v)| (format!("item {i}"), v.to_string()))
                    .collect()
            }
            false => {
                let lines = text.lines().enumerate();
                lines
                    .filter(|(_, line)| !line.trim().is_empty())
                    .map(|(i, line)| (format!("line {}", i + 1), line.to_owned()))
                    .collect()
            }
        };
        let mut genotypes = Vec::with_capacity(items.len());
        for (place, text) in items {
            let read = Genotype::read(&text).and_then(|mut genotype| {
                scene.space.holds(&genotype)?;
                // Hyperparameters are those of the space, as of all its genotypes.
                genotype.params.clone_from(&scene.space.params);
                genotype.name.clear();
                Ok(genotype)
            });
            genotypes.push(read.map_err(|e| e.within(place))?);
        }
        match genotypes.is_empty() {
            true => Err(Error::usage("there is no genotype")
                .hint("`biorule genotype random --count 20 -o FILE` writes some")),
            false => Ok(Self { genotypes }),
        }
    }
}

impl Strategy for Listed {
    fn name(&self) -> &'static str {
        "list"
    }

    fn next(&self, answers: &[Answer]) -> Result<Option<Request>> {
        let request = |genotype: &Genotype| Request {
            number: answers.len() as u64,
            genotype: genotype.clone(),
            share: 1.0,
            origin: Origin::Listed,
        };
        Ok(self.genotypes.get(answers.len()).map(request))
    }

    fn requests(&self) -> u64 {
        self.genotypes.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::space::sets;

    fn scene() -> Scene {
        Scene {
            space: sets::named("darts").expect("a space"),
            goals: Vec::new(),
            seed: 0,
        }
    }

    #[test]
    fn lines_and_lists_say_the_same() {
        let scene = scene();
        let all: Vec<Genotype> = (0..3).map(|i| scene.space.random(1, i)).collect();
        let lines: String = all.iter().map(|g| format!("{}\n\n", g.to_json())).collect();
        let list = serde_json::to_string(&all.iter().map(Genotype::to_json).collect::<Vec<_>>());
        for text in [lines, list.expect("JSON")] {
            let listed = Listed::of(&scene, &text).expect("genotypes");
            assert_eq!(listed.requests(), 3);
            let first = listed.next(&[]).expect("asked").expect("a request");
            assert_eq!(first.genotype, all[0]);
        }
    }

    #[test]
    fn what_is_wrong_is_refused_with_its_line() {
        let scene = scene();
        let own = scene.space.random(0, 0).to_json();
        let other = sets::named("bionas").expect("a space").random(0, 0);
        for (text, says) in [
            (format!("{own}\n{}\n", other.to_json()), "line 2: cell"),
            (format!("{own}\n{{\n"), "line 2: line 1"),
            ("[{}]".to_owned(), "item 0"),
            ("[".to_owned(), "line 1"),
            ("\n".to_owned(), "no genotype"),
        ] {
            let e = match Listed::of(&scene, &text) {
                Ok(_) => panic!("{says}"),
                Err(e) => e,
            };
            assert!(e.text.contains(says), "{says}: {}", e.text);
            assert!(e.hint.is_some(), "{says}");
        }
    }
}
