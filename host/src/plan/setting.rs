//! A setting and where it is defined: on a field of the plan, by the macros below. Key, kind,
//! default, range, unit, meaning and source stand there once; what is read, checked, shown with its
//! origin and printed as the reference follows from it.

use std::path::PathBuf;

use crate::plan::{ClassWeights, Formula};
use crate::{Error, Result};

/// What a setting's value looks like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Words.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number, 0 or more.
    Whole,
    /// A number.
    Number,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// One whole number for both axes, or `[rows, columns]`.
    Pair,
    /// One number, `[rows, columns]`, `[top, bottom, left, right]` or `"same"`.
    Sides,
    /// Whole numbers in brackets.
    Wholes,
    /// Numbers in brackets.
    Numbers,
    /// Words in brackets.
    Texts,
    /// A number, or an expression of where the phase stands.
    Formula,
    /// Whole numbers or words in brackets.
    Labels,
    /// What the text says.
    Described,
    /// This word, or numbers in brackets.
    WordOrNumbers(&'static str),
    /// A table of its own; the text says which section describes it.
    Table(&'static str),
    /// A list of tables; the text says which section describes one.
    Tables(&'static str),
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its key.
    pub key: &'static str,
    /// What its value looks like.
    pub kind: Kind,
    /// Default as TOML text; empty where there is none.
    pub default: &'static str,
    /// Inclusive limits of numbers.
    pub range: Option<(f64, f64)>,
    /// Unit, empty where there is none.
    pub unit: &'static str,
    /// One line: what it does.
    pub doc: &'static str,
    /// Where it comes from: equation, paper or project; empty for our own.
    pub source: &'static str,
}

impl Setting {
    /// A setting without range, unit or source.
    #[must_use]
    pub const fn new(
        key: &'static str,
        kind: Kind,
        default: &'static str,
        doc: &'static str,
    ) -> Self {
        Self {
            key,
            kind,
            default,
            range: None,
            unit: "",
            doc,
            source: "",
        }
    }
    /// The same with inclusive limits.
    #[must_use]
    pub const fn range(mut self, low: f64, high: f64) -> Self {
        self.range = Some((low, high));
        self
    }
    /// The same with a lower limit.
    #[must_use]
    pub const fn min(self, low: f64) -> Self {
        self.range(low, f64::INFINITY)
    }
    /// The same with another default.
    #[must_use]
    pub const fn default_of(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }
    /// The same with a unit.
    #[must_use]
    pub const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }
    /// The same with its source.
    #[must_use]
    pub const fn source(mut self, source: &'static str) -> Self {
        self.source = source;
        self
    }
}

/// A table of settings with its place in a configuration.
#[derive(Clone, Copy, Debug)]
pub struct SectionDoc {
    /// Where it stands, such as `blocks[]`.
    pub place: &'static str,
    /// What it is for, and its short form where it has one.
    pub doc: &'static str,
    /// Its settings.
    pub settings: &'static [Setting],
}

/// `place` without the kind in parentheses.
#[must_use]
pub fn base(place: &str) -> &str {
    match place.strip_prefix('(') {
        Some(_) => place,
        None => place.split(" (").next().unwrap_or(place),
    }
}

/// What settings are read from: a table of a configuration. A method gives `None` for a setting that
/// is absent and has no default; each fails with a usage error for another kind of value, or one out
/// of range.
pub trait Reader {
    /// The error for a setting that has to be there.
    fn missing(&self, key: &str) -> Error;
    /// `true` or `false`.
    fn flag(&mut self, key: &str) -> Result<Option<bool>>;
    /// A whole number.
    fn whole(&mut self, key: &str) -> Result<Option<u64>>;
    /// A number.
    fn number(&mut self, key: &str) -> Result<Option<f64>>;
    /// Words.
    fn text(&mut self, key: &str) -> Result<Option<String>>;
    /// One of the setting's words.
    fn word(&mut self, key: &str) -> Result<Option<String>>;
    /// Whole numbers.
    fn wholes(&mut self, key: &str) -> Result<Option<Vec<u64>>>;
    /// Two numbers.
    fn two_numbers(&mut self, key: &str) -> Result<Option<[f64; 2]>>;
    /// A list of words.
    fn texts(&mut self, key: &str) -> Result<Option<Vec<String>>>;
    /// A formula.
    fn formula(&mut self, key: &str) -> Result<Option<Formula>>;
    /// Numbers, or none of them for the setting's word.
    fn word_or_numbers(&mut self, key: &str) -> Result<Option<Vec<f64>>>;
    /// Hands a table with `settings` to `read`; whether there is one.
    fn table(
        &mut self,
        key: &str,
        settings: &'static [Setting],
        read: &mut dyn FnMut(&mut dyn Reader) -> Result<()>,
    ) -> Result<bool>;
    /// Hands a table to `read` with its kind, which decides on its settings; whether there is one.
    fn table_of_kind(
        &mut self,
        key: &str,
        settings: fn(&str) -> &'static [Setting],
        read: &mut dyn FnMut(&str, &mut dyn Reader) -> Result<()>,
    ) -> Result<bool>;
}

/// A type that a setting's value has.
pub trait Field: Sized {
    /// What the value looks like.
    const KIND: Kind;
    /// Reads `key`; `None` where it is absent.
    ///
    /// # Errors
    /// Usage error for another kind of value, or one out of range.
    fn read_optional(from: &mut dyn Reader, key: &str) -> Result<Option<Self>>;
    /// Reads `key`, which has to be there.
    ///
    /// # Errors
    /// Usage error where it is absent, too.
    fn read(from: &mut dyn Reader, key: &str) -> Result<Self> {
        let missing = from.missing(key);
        Self::read_optional(from, key)?.ok_or(missing)
    }
}

impl<T: Field> Field for Option<T> {
    const KIND: Kind = T::KIND;
    fn read_optional(from: &mut dyn Reader, key: &str) -> Result<Option<Self>> {
        T::read_optional(from, key).map(Some)
    }
}

/// A field type with its kind and the reader's method.
macro_rules! field {
    ($($type:ty: $kind:expr, $read:ident $(, $convert:expr)?;)+) => { $(
        impl Field for $type {
            const KIND: Kind = $kind;
            fn read_optional(from: &mut dyn Reader, key: &str) -> Result<Option<Self>> {
                Ok(from.$read(key)? $(.map($convert))?)
            }
        }
    )+ };
}

field! {
    bool: Kind::Flag, flag;
    u64: Kind::Whole, whole;
    usize: Kind::Whole, whole, |n| n as usize;
    f64: Kind::Number, number;
    String: Kind::Text, text;
    PathBuf: Kind::Text, text, PathBuf::from;
    Vec<String>: Kind::Texts, texts;
    Vec<u64>: Kind::Wholes, wholes;
    [f64; 2]: Kind::Numbers, two_numbers;
    Formula: Kind::Formula, formula;
    ClassWeights: Kind::WordOrNumbers("balanced"), word_or_numbers, |weights| match weights {
        none if none.is_empty() => ClassWeights::Balanced,
        given => ClassWeights::Given(given),
    };
}

/// A table of settings.
pub trait Described: Sized {
    /// Its settings.
    const SETTINGS: &'static [Setting];
    /// Reads all of them.
    ///
    /// # Errors
    /// Usage error for the first that is missing or wrong.
    fn read_all(from: &mut dyn Reader) -> Result<Self>;
}

/// A table whose `kind` decides on its other settings.
pub trait Tagged: Sized {
    /// The settings of the kind `kind`; of another word the kind alone.
    fn settings(kind: &str) -> &'static [Setting];
    /// Reads those of the kind `kind`.
    ///
    /// # Errors
    /// Usage error for the first that is missing or wrong.
    fn read_kind(kind: &str, from: &mut dyn Reader) -> Result<Self>;
}

/// The setting `key` of `settings`, for a table that has it with another default.
#[must_use]
pub const fn setting_of(settings: &[Setting], key: &str) -> Setting {
    let mut at = 0;
    while at < settings.len() {
        if same(settings[at].key, key) {
            return settings[at];
        }
        at += 1;
    }
    panic!("no such setting")
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// One setting from what stands at its field.
macro_rules! setting {
    ($field:ident: $type:ty, [$($doc:literal)+], [$($default:expr)?]
        $(, range $low:literal => $high:expr)? $(, unit $unit:literal)? $(, source $source:literal)?
    ) => {
        $crate::plan::setting::Setting::new(
            stringify!($field),
            <$type as $crate::plan::setting::Field>::KIND,
            concat!("" $(, stringify!($default))?),
            concat!($($doc),+).trim_ascii_start(),
        )
        $(.range($low, $high))? $(.unit($unit))? $(.source($source))?
    };
}

/// Defines a table of settings: a struct whose fields carry meaning, default, range, unit and
/// source.
///
/// ```text
/// settings! {
///     /// Keeping the output of a frozen prefix.
///     pub struct CachePlan at "phases[].cache" {
///         /// past this the features go to a memory-mapped file
///         memory_limit: u64 = 8589934592, unit "bytes";
///     }
/// }
/// ```
macro_rules! settings {
    (
        $(#[doc = $about:literal])+
        pub struct $name:ident at $place:literal {
            $(
                #[doc = $doc:literal] $(#[doc = $more:literal])*
                $(#[serde($($serde:tt)*)])?
                $field:ident : $type:ty
                $(= $default:expr)?
                $(, range $low:literal => $high:expr)?
                $(, unit $unit:literal)?
                $(, source $source:literal)?;
            )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $(
                #[doc = $doc] $(#[doc = $more])*
                $(#[serde($($serde)*)])?
                pub $field: $type,
            )+
        }

        impl $crate::plan::setting::Described for $name {
            const SETTINGS: &'static [$crate::plan::setting::Setting] = &[$(
                $crate::plan::setting::setting!(
                    $field: $type, [$doc $($more)*], [$($default)?]
                    $(, range $low => $high)? $(, unit $unit)? $(, source $source)?
                ),
            )+];
            fn read_all(from: &mut dyn $crate::plan::setting::Reader) -> $crate::Result<Self> {
                Ok(Self {
                    $($field: $crate::plan::setting::Field::read(from, stringify!($field))?,)+
                })
            }
        }

        impl $crate::plan::setting::Field for $name {
            const KIND: $crate::plan::setting::Kind = $crate::plan::setting::Kind::Table($place);
            fn read_optional(
                from: &mut dyn $crate::plan::setting::Reader,
                key: &str,
            ) -> $crate::Result<Option<Self>> {
                use $crate::plan::setting::Described as _;
                let mut plan = None;
                from.table(key, Self::SETTINGS, &mut |inner| {
                    plan = Some(Self::read_all(inner)?);
                    Ok(())
                })?;
                Ok(plan)
            }
        }
    };
}

/// Defines a table whose `kind` decides on its other settings: an enum, a variant for each word.
macro_rules! kinds {
    (
        $(#[doc = $about:literal])+
        pub enum $name:ident at $place:literal, $kind:literal {
            $(
                $(#[doc = $meaning:literal])+
                $variant:ident = $word:literal $({
                    $(
                        #[doc = $doc:literal] $(#[doc = $more:literal])*
                        $field:ident : $type:ty
                        $(= $default:expr)?
                        $(, range $low:literal => $high:expr)?
                        $(, unit $unit:literal)?
                        $(, source $source:literal)?;
                    )+
                })?
            )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "kind", deny_unknown_fields)]
        pub enum $name {
            $(
                $(#[doc = $meaning])+
                #[serde(rename = $word)]
                $variant $({ $( #[doc = $doc] $(#[doc = $more])* $field: $type, )+ })?,
            )+
        }

        impl $crate::plan::setting::Tagged for $name {
            fn settings(kind: &str) -> &'static [$crate::plan::setting::Setting] {
                use $crate::plan::setting::{Kind, Setting};
                const KIND: Setting = Setting::new("kind", Kind::Choice(&[$($word),+]), "", $kind);
                match kind {
                    $($word => const { &[
                        KIND,
                        $($($crate::plan::setting::setting!(
                            $field: $type, [$doc $($more)*], [$($default)?]
                            $(, range $low => $high)? $(, unit $unit)? $(, source $source)?
                        ),)+)?
                    ] },)+
                    _ => &[KIND],
                }
            }
            #[allow(unused_variables)]
            fn read_kind(
                kind: &str,
                from: &mut dyn $crate::plan::setting::Reader,
            ) -> $crate::Result<Self> {
                match kind {
                    $($word => Ok(Self::$variant $({
                        $($field: $crate::plan::setting::Field::read(from, stringify!($field))?,)+
                    })?),)+
                    other => Err($crate::Error::internal(format!("no kind `{other}`"))),
                }
            }
        }

        impl $crate::plan::setting::Field for $name {
            const KIND: $crate::plan::setting::Kind = $crate::plan::setting::Kind::Table($place);
            fn read_optional(
                from: &mut dyn $crate::plan::setting::Reader,
                key: &str,
            ) -> $crate::Result<Option<Self>> {
                use $crate::plan::setting::Tagged as _;
                let mut plan = None;
                from.table_of_kind(key, Self::settings, &mut |kind, inner| {
                    plan = Some(Self::read_kind(kind, inner)?);
                    Ok(())
                })?;
                Ok(plan)
            }
        }
    };
}

/// Defines a choice: an enum, and the word of each variant.
macro_rules! words {
    (
        $(#[doc = $about:literal])+
        pub enum $name:ident {
            $(
                $(#[doc = $doc:literal])+
                $variant:ident = $word:literal,
            )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $(
                $(#[doc = $doc])+
                #[serde(rename = $word)]
                $variant,
            )+
        }

        impl $name {
            /// The words of a configuration, in the order of the variants.
            pub const WORDS: &'static [&'static str] = &[$($word),+];
            /// As a configuration has it.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl $crate::plan::setting::Field for $name {
            const KIND: $crate::plan::setting::Kind =
                $crate::plan::setting::Kind::Choice(Self::WORDS);
            fn read_optional(
                from: &mut dyn $crate::plan::setting::Reader,
                key: &str,
            ) -> $crate::Result<Option<Self>> {
                Ok(from.word(key)?.and_then(|word| match word.as_str() {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }))
            }
        }
    };
}

pub(crate) use {kinds, setting, settings, words};
