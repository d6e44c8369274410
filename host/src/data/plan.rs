//! The data that a plan describes, opened: read, checked, divided and scaled.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::classes;
use super::dataset::{Dataset, Shape, Split};
use super::folders::DataFolders;
use super::loader::{Loader, LoaderOptions};
use super::normalize::Normalizer;
use super::resize;
use super::set::{Layout, SetInfo};
use super::subset::{Choice, Subset};
use super::whiten;
use super::{cifar, image_set, own, published, registry, stl10};
use crate::device::memory;
use crate::plan::{Augment, DataPlan, Scaling};
use crate::{Error, Result};

/// A plan's data in memory, ready for loaders.
#[derive(Clone, Debug)]
pub struct Data {
    /// Samples to learn from.
    pub train: Subset,
    /// Samples held back, if the plan asks for them; never augmented.
    pub validation: Option<Subset>,
    /// Test samples; never augmented.
    pub test: Subset,
    /// The scaling, the same for all parts.
    pub normalizer: Arc<Normalizer>,
    notes: Vec<String>,
    warnings: Vec<String>,
    plan: DataPlan,
    /// Positions in the data set, by name of the part.
    parts: BTreeMap<String, Vec<u32>>,
}

impl DataPlan {
    /// The folders this plan searches.
    pub fn folders(&self) -> DataFolders {
        DataFolders::search(self.root.as_deref())
    }

    /// The set's entry in the registry.
    ///
    /// # Errors
    /// A usage error for an unknown name.
    pub fn info(&self) -> Result<&'static SetInfo> {
        registry::find(&self.set)
    }

    /// Checks what can be checked without reading data.
    ///
    /// # Errors
    /// Usage errors that name the key.
    pub fn check(&self) -> Result<()> {
        let info = self.info()?;
        let refuse = |key: &str, what: String| Err(Error::usage(format!("`data.{key}` {what}")));
        if !(self.validation >= 0.0 && self.validation.is_finite()) {
            return refuse(
                "validation",
                format!("must be 0 or more, not {}", self.validation),
            );
        }
        if self.validation >= 1.0 && self.validation.fract() != 0.0 {
            return refuse(
                "validation",
                format!("must be a whole number from 1 on, not {}", self.validation),
            );
        }
        if let Some(name) = &self.validation_part {
            self.check_part(name)?;
        }
        if !(0.0..=1.0).contains(&self.augment.flip) {
            return refuse(
                "augment.flip",
                format!("must be 0 to 1, not {}", self.augment.flip),
            );
        }
        if !(self.augment.noise >= 0.0 && self.augment.noise.is_finite()) {
            return refuse(
                "augment.noise",
                format!("must be 0 or more, not {}", self.augment.noise),
            );
        }
        for name in self.parts.keys() {
            if ["train", "validation", "test"].contains(&name.as_str()) || name.is_empty() {
                return Err(Error::usage(format!("a part cannot be named `{name}`"))
                    .hint("choose another name in `data.parts`"));
            }
        }
        if self.mean.is_some() != self.std.is_some() {
            return refuse(
                "mean",
                "and `data.std` belong together; give both or neither".into(),
            );
        }
        if self.mean.is_some() && self.normalize != Scaling::Standard {
            return refuse("mean", "needs `data.normalize = \"standard\"`".into());
        }
        if let Some(smoothing) = self.whiten
            && !(smoothing > 0.0 && smoothing.is_finite())
        {
            return refuse("whiten", format!("must be above 0, not {smoothing}"));
        }
        if let Some([h, w]) = self.resize
            && (h == 0 || w == 0 || h.checked_mul(w).is_none_or(|area| area > 1 << 22))
        {
            return refuse("resize", format!("must be a plausible size, not {h}x{w}"));
        }
        match info.layout {
            Layout::Own => own::check(self)?,
            Layout::Stl => stl10::check(&self.options)?,
            Layout::Pictures => image_set::check(info, &self.options)?,
            _ => published::no_options(info, &self.options)?,
        }
        if let Some([low, high]) = self.augment.resized_crop {
            if !(low > 0.0 && low <= high && high <= 1.0) {
                return refuse(
                    "augment.resized_crop",
                    format!(
                        "must be two shares of the area in order, above 0 and up to 1, not [{low}, {high}]"
                    ),
                );
            }
            if self.augment.crop > 0 {
                return refuse(
                    "augment.resized_crop",
                    "and `data.augment.crop` are two ways to cut a piece out; set one".into(),
                );
            }
        }
        if matches!(info.layout, Layout::Cifar | Layout::InMemory) && info.settings.is_empty() {
            let names = match info.layout {
                Layout::Cifar => cifar::class_names(info),
                _ => Vec::new(),
            };
            classes::resolve(&self.classes, &self.set, info.classes, &names)?;
        }
        for (at, class) in self.classes.iter().enumerate() {
            if self.classes[..at].contains(class) {
                return Err(Error::usage(format!("`data.classes` lists {class} twice"))
                    .hint("list each class once"));
            }
        }
        Ok(())
    }

    /// Refuses a validation part that is none.
    fn check_part(&self, name: &str) -> Result<()> {
        if self.validation > 0.0 {
            return Err(Error::usage(format!(
                "`data.validation` is {} and `data.validation_part` is `{name}`: both say what is held back",
                self.validation
            ))
            .hint("leave one of them out"));
        }
        if !self.parts.contains_key(name) {
            let e = Error::usage(format!(
                "`data.validation_part` is `{name}`, and `data.parts` has no such part"
            ));
            let near = crate::text::nearest(name, self.parts.keys().map(String::as_str));
            return Err(match near {
                Some(near) => e.hint(format!("did you mean `{near}`?")),
                None => e.hint(format!("`data.parts.{name} = \"50%:\"` is the second half")),
            });
        }
        Ok(())
    }

    /// Reads the set (both parts) and prepares it: resize, class filter, limits,
    /// validation part, scaling.
    ///
    /// # Errors
    /// Usage errors for settings that do not fit the set; data errors for
    /// missing or damaged files.
    pub fn open(&self) -> Result<Data> {
        self.open_in(&self.folders())
    }

    /// As [`Self::open`], searching only `folders`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_in(&self, folders: &DataFolders) -> Result<Data> {
        self.check()?;
        self.open_numbered(folders, None)
    }

    /// As [`Self::open_in`], with the labels of another plan for the same set: what is learned from
    /// one is then measured on the other. Where that has not all of these classes, they are
    /// numbered for themselves.
    pub(crate) fn open_beside(&self, main: &Self) -> Result<Data> {
        let same = main.set == self.set && main.options == self.options;
        self.check()?;
        self.open_numbered(&self.folders(), same.then_some(main))
    }

    fn open_numbered(&self, folders: &DataFolders, main: Option<&Self>) -> Result<Data> {
        let [mut train, mut test] = self.read(folders)?;
        let normalizer = self.normalizer(&train)?;
        self.check_augment(train.shape())?;
        let mut notes = [train.notes(), test.notes()].concat();
        notes.dedup();
        let mut kept = Vec::new();
        if !self.classes.is_empty() {
            let number = |plan: &Self| {
                let names: Vec<String> = (0..train.classes())
                    .map(|c| train.class_name(c as u32))
                    .collect();
                classes::resolve(&plan.classes, &plan.set, train.classes(), &names)
            };
            kept = number(self)?;
            let others = main.map(number).transpose()?;
            let numbered = match others {
                Some(all) if all.is_empty() => None,
                Some(all) if kept.iter().all(|k| all.contains(k)) => Some(all),
                _ => Some(kept.clone()),
            };
            if let Some(numbered) = numbered {
                kept = kept
                    .iter()
                    .filter_map(|k| numbered.iter().position(|n| n == k))
                    .map(|at| at as u32)
                    .collect();
                notes.push(self.classes_note(&train, &numbered));
                (train, test) = (
                    Arc::new(train.with_classes(&numbered)),
                    Arc::new(test.with_classes(&numbered)),
                );
            }
        }
        let everything = Subset::all(train).of_classes(&kept);
        let test = Subset::all(test).of_classes(&kept);
        let limits = [
            ("limit_train", self.limit_train, everything.len()),
            ("limit_test", self.limit_test, test.len()),
        ];
        let beyond = limits.iter().filter_map(|(key, limit, there)| {
            let limit = limit.filter(|limit| limit > there)?;
            Some(format!(
                "`data.{key}` is {limit}, and `{}` has {there} samples there: all are used",
                self.set
            ))
        });
        let mut warnings: Vec<String> = beyond.collect();
        warnings.extend(self.unread_options(everything.dataset()));
        let choice = Choice {
            seed: self.split_seed,
            by_class: self.stratify,
        };
        let (mut train, mut validation) =
            everything.divide(self.limit_train, self.validation, choice)?;
        let parts = train.parts(&self.parts, self.parts_order, self.split_seed)?;
        if let Some(name) = &self.validation_part
            && let Some(held) = parts.get(name)
        {
            let (left, held) = train.without(held);
            apart(&parts, name, &held)?;
            (train, validation) = (left, Some(held));
        }
        let test = test.limited(self.limit_test, choice);
        if train.is_empty() || test.is_empty() {
            return Err(Error::usage(format!(
                "`{}` has no sample left after `data.classes`, the limits and validation",
                self.set
            )));
        }
        let mut data = Data {
            train,
            validation,
            test,
            normalizer: Arc::new(normalizer),
            notes,
            warnings,
            plan: self.clone(),
            parts,
        };
        if let Some(smoothing) = self.whiten {
            data.whiten(smoothing)?;
        }
        Ok(data)
    }

    /// Settings that this set gives nothing to do.
    fn unread_options(&self, set: &Dataset) -> Vec<String> {
        let given = |key: &str| self.options.contains_key(key);
        let own = |key: &str, why: &str| format!("`data.options.{key}` has no effect: {why}");
        let no_classes = set.classes() == 0;
        let is_own = self.info().is_ok_and(SetInfo::is_own);
        let mut found = Vec::new();
        if self.stratify && no_classes {
            found.push("`data.stratify` has no effect: the samples have no classes".to_owned());
        }
        if is_own && given("stratify") && no_classes {
            found.push(own("stratify", "the samples have no classes"));
        } else if is_own && given("stratify") && !given("test") {
            found.push(own("stratify", "the set has a test part of its own"));
        }
        if is_own && given("layout") && set.shape().plane() == 1 {
            found.push(own("layout", "the arrays are vectors, not images"));
        }
        found
    }

    /// Both parts, resized.
    fn read(&self, folders: &DataFolders) -> Result<[Arc<Dataset>; 2]> {
        let one = |split| self.part(split, folders).map(Arc::new);
        let parts = [one(Split::Train)?, one(Split::Test)?];
        if parts[0].shape() != parts[1].shape() {
            return Err(Error::data(format!(
                "`{}`: training samples are {}, test samples {}",
                self.set,
                parts[0].shape(),
                parts[1].shape()
            ))
            .hint("both parts have to be of one size; `data.resize` brings them to one"));
        }
        Ok(parts)
    }

    /// One part of the set, resized, with all its classes.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn part(&self, split: Split, folders: &DataFolders) -> Result<Dataset> {
        if self.info()?.is_own() {
            let parts = own::load(self, folders)?;
            return Ok(match split {
                Split::Train => parts.train.clone(),
                Split::Test => parts.test.clone(),
            });
        }
        let info = self.info()?;
        if info.layout == Layout::Pictures {
            return image_set::part(self, info, &folders.require(info)?, split);
        }
        let set = published::load(&self.set, split, folders, &self.options)?;
        match self.resize {
            Some([height, width]) => {
                let pixels = set.len() as u128 * (set.shape().channels * height * width) as u128;
                memory::require(pixels, &format!("`data.resize` to {height}x{width}"))?;
                resize::resize(set, height, width, self.resize_method)
            }
            None => Ok(set),
        }
    }

    /// Which labels the classes in use have.
    fn classes_note(&self, train: &Dataset, kept: &[u32]) -> String {
        let named: Vec<String> = kept
            .iter()
            .take(20)
            .enumerate()
            .map(|(at, class)| format!("{at}: {}", train.class_name(*class)))
            .collect();
        let more = if kept.len() > 20 { ", …" } else { "" };
        format!(
            "`data.classes` keeps {} of {} classes of `{}`, numbered {}{more}",
            kept.len(),
            train.classes(),
            self.set,
            named.join(", ")
        )
    }

    fn normalizer(&self, train: &Dataset) -> Result<Normalizer> {
        if self.normalize != Scaling::Standard {
            return Ok(Normalizer::plain(train, self.normalize == Scaling::Unit));
        }
        let info = self.info()?;
        // Files under a published name that are not the published ones have other moments.
        let published = train.notes().is_empty() && !info.mean.is_empty();
        let (mean, std) = match (&self.mean, &self.std) {
            (Some(mean), Some(std)) => (mean.clone(), std.clone()),
            _ if published => (info.mean.to_vec(), info.std.to_vec()),
            _ => train.channel_moments().into_iter().unzip(),
        };
        Normalizer::standard(train, &mean, &std)
    }

    fn check_augment(&self, shape: Shape) -> Result<()> {
        let Augment { crop, cutout, .. } = self.augment;
        let piece = self.augment.resized_crop.is_some();
        if (self.augment.moves() || cutout > 0 || piece) && shape.plane() == 1 {
            return Err(Error::usage(format!(
                "`data.augment.crop`, `resized_crop`, `flip` and `cutout` need images; samples of `{}` are {shape}",
                self.set
            )));
        }
        // Reflection has no more pixels; with zeros, images would be blank.
        if crop > 0 && crop >= shape.height.min(shape.width) {
            return Err(Error::usage(format!(
                "`data.augment.crop` is {crop}, expected less than the image size, {shape}"
            ))
            .hint("`crop` is the padding on each side, not the size that is cut out"));
        }
        if cutout > shape.height.min(shape.width) {
            return Err(Error::usage(format!(
                "`data.augment.cutout` is {cutout}, expected at most the image size, {shape}"
            ))
            .hint("half the image size is usual, 16 for 32x32"));
        }
        Ok(())
    }
}

/// Refuses parts that share samples with `held`, the part `name`: what is learned from them would not
/// be measured on others.
fn apart(parts: &BTreeMap<String, Vec<u32>>, name: &str, held: &Subset) -> Result<()> {
    let held: std::collections::BTreeSet<u32> = held.indices().iter().copied().collect();
    let mut others = parts.iter().filter(|(other, _)| *other != name);
    match others.find(|(_, at)| at.iter().any(|i| held.contains(i))) {
        None => Ok(()),
        Some((other, _)) => Err(Error::usage(format!(
            "`data.parts.{other}` has samples of `{name}`, which `data.validation_part` holds back"
        ))
        .hint("let the ranges have nothing in common, such as `:50%` and `50%:`")),
    }
}

impl Data {
    /// Replaces all parts by whitened ones.
    fn whiten(&mut self, smoothing: f64) -> Result<()> {
        let held_back = self.validation.iter();
        let parts: Vec<&Subset> = [&self.train, &self.test]
            .into_iter()
            .chain(held_back)
            .collect();
        let (white, normalizer) = whiten::prepare(&parts, &self.normalizer, smoothing)?;
        let mut white = white.into_iter();
        if let (Some(train), Some(test)) = (white.next(), white.next()) {
            (self.train, self.test, self.validation) = (train, test, white.next());
        }
        self.normalizer = Arc::new(normalizer);
        Ok(())
    }

    /// The part of the training samples that `data.parts` calls `name`.
    ///
    /// # Errors
    /// A usage error for an unknown name.
    pub fn part(&self, name: &str) -> Result<Subset> {
        let Some(indices) = self.parts.get(name) else {
            let e = Error::usage(format!("`data.parts` has no part `{name}`"));
            let near = crate::text::nearest(name, self.parts.keys().map(String::as_str));
            return Err(match near {
                Some(near) => e.hint(format!("did you mean `{near}`?")),
                None => e.hint(format!("`data.parts.{name} = \":50%\"` is the first half")),
            });
        };
        Ok(self.train.with_indices(indices.clone()))
    }

    /// Every part of the training samples, with its name.
    pub fn parts(&self) -> impl Iterator<Item = (&str, Subset)> {
        self.parts.iter().map(|(name, indices)| {
            let samples = self.train.with_indices(indices.clone());
            (name.as_str(), samples)
        })
    }

    /// Bytes of values and answers of every part, each data set counted once.
    pub fn bytes(&self) -> u128 {
        let parts = [
            Some(&self.train),
            Some(&self.test),
            self.validation.as_ref(),
        ];
        let mut seen: Vec<&Arc<Dataset>> = Vec::new();
        let mut bytes = 0;
        for samples in parts.into_iter().flatten() {
            bytes += 4 * samples.len() as u128;
            let set = samples.dataset();
            if !seen.iter().any(|other| Arc::ptr_eq(other, set)) {
                bytes += set.bytes();
                seen.push(set);
            }
        }
        bytes
    }

    /// Shape of a prepared sample, `[C, H, W]`.
    pub fn shape(&self) -> Shape {
        self.train.dataset().shape()
    }
    /// Number of classes; 0 for regression.
    pub fn classes(&self) -> usize {
        self.train.dataset().classes()
    }
    /// Outputs a network needs.
    pub fn outputs(&self) -> usize {
        self.train.dataset().outputs()
    }
    /// What a user should know of the data: how many classes are used and how they are numbered,
    /// files left out, sizes other than published.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
    /// What the plan asks for and the set cannot give.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
    /// The plan this was made from.
    pub fn plan(&self) -> &DataPlan {
        &self.plan
    }

    /// Training batches: shuffled and augmented as the plan says.
    ///
    /// # Errors
    /// A usage error for batch size 0.
    pub fn train_loader(&self, batch: usize, seed: u64) -> Result<Loader> {
        let plan = &self.plan;
        self.loader(
            self.train.clone(),
            LoaderOptions {
                shuffle: plan.shuffle,
                drop_last: plan.drop_last,
                augment: plan.augment,
                ..self.ordered(batch, seed)
            },
        )
    }

    /// Batches of `samples` in order, nothing random: for evaluation, and for
    /// running a frozen prefix once.
    ///
    /// # Errors
    /// A usage error for batch size 0.
    pub fn ordered_loader(&self, samples: &Subset, batch: usize) -> Result<Loader> {
        self.loader(samples.clone(), self.ordered(batch, 0))
    }

    /// Any combination.
    ///
    /// # Errors
    /// A usage error for batch size 0.
    pub fn loader(&self, samples: Subset, options: LoaderOptions) -> Result<Loader> {
        Loader::new(samples, Arc::clone(&self.normalizer), options)
    }

    fn ordered(&self, batch: usize, seed: u64) -> LoaderOptions {
        LoaderOptions {
            batch,
            seed,
            shuffle: false,
            drop_last: false,
            augment: Augment::default(),
            threads: self.plan.threads,
            prefetch: self.plan.prefetch,
        }
    }
}
