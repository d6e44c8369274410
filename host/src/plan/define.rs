//! Where settings are defined: on the fields of the plan, by the macros below. Key, kind, default,
//! range, unit, meaning and source stand there once; what is read, checked, shown with its origin and
//! printed as the reference follows from it.

use std::path::PathBuf;

use crate::plan::Formula;
use crate::plan::setting::{Kind, Setting};
use crate::{Error, Result};

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
    /// A number, or a fraction.
    fn fraction(&mut self, key: &str) -> Result<Option<f64>>;
    /// A list of words, each one of `words`.
    fn words(&mut self, key: &str, words: &[&str]) -> Result<Option<Vec<String>>>;
    /// Numbers, or none of them for the setting's word.
    fn word_or_numbers(&mut self, key: &str) -> Result<Option<Vec<f64>>>;
    /// A number, and whether it stands under the key that the setting names.
    fn number_or(&mut self, key: &str) -> Result<Option<(f64, bool)>>;
    /// Hands a table with `settings` to `read`; whether there is one.
    fn table(
        &mut self,
        key: &str,
        settings: &'static [Setting],
        read: &mut dyn FnMut(&mut dyn Reader) -> Result<()>,
    ) -> Result<bool>;
    /// Hands each table of a list to `read`; an absent list has none.
    fn tables(
        &mut self,
        key: &str,
        settings: &'static [Setting],
        read: &mut dyn FnMut(&mut dyn Reader) -> Result<()>,
    ) -> Result<()>;
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
                from.$read(key) $(.map(|value| value.map($convert)))?
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

/// One setting from what stands at its field.
macro_rules! setting {
    ($field:ident: $type:ty, [$($doc:literal)+], [$($default:expr)?]
        $(, range $low:literal => $high:expr)? $(, unit $unit:literal)? $(, source $source:literal)?
    ) => {
        $crate::plan::setting::Setting::new(
            stringify!($field),
            <$type as $crate::plan::define::Field>::KIND,
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

        impl $crate::plan::define::Described for $name {
            const SETTINGS: &'static [$crate::plan::setting::Setting] = &[$(
                $crate::plan::define::setting!(
                    $field: $type, [$doc $($more)*], [$($default)?]
                    $(, range $low => $high)? $(, unit $unit)? $(, source $source)?
                ),
            )+];
            fn read_all(from: &mut dyn $crate::plan::define::Reader) -> $crate::Result<Self> {
                Ok(Self {
                    $($field: $crate::plan::define::Field::read(from, stringify!($field))?,)+
                })
            }
        }

        impl $crate::plan::define::Field for $name {
            const KIND: $crate::plan::setting::Kind = $crate::plan::setting::Kind::Table($place);
            fn read_optional(
                from: &mut dyn $crate::plan::define::Reader,
                key: &str,
            ) -> $crate::Result<Option<Self>> {
                use $crate::plan::define::Described as _;
                let mut plan = None;
                from.table(key, Self::SETTINGS, &mut |inner| {
                    plan = Some(Self::read_all(inner)?);
                    Ok(())
                })?;
                Ok(plan)
            }
        }

        impl $crate::plan::define::Field for Vec<$name> {
            const KIND: $crate::plan::setting::Kind = $crate::plan::setting::Kind::Tables($place);
            fn read_optional(
                from: &mut dyn $crate::plan::define::Reader,
                key: &str,
            ) -> $crate::Result<Option<Self>> {
                use $crate::plan::define::Described as _;
                let mut plans = Self::new();
                from.tables(key, $name::SETTINGS, &mut |inner| {
                    plans.push($name::read_all(inner)?);
                    Ok(())
                })?;
                Ok(Some(plans))
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

        impl $name {
            /// The word of its kind, as a configuration has it.
            #[must_use]
            pub const fn kind(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $word,)+
                }
            }
        }

        impl $crate::plan::define::Tagged for $name {
            fn settings(kind: &str) -> &'static [$crate::plan::setting::Setting] {
                use $crate::plan::setting::{Kind, Setting};
                const KIND: Setting = Setting::new("kind", Kind::Choice(&[$($word),+]), "", $kind);
                match kind {
                    $($word => const { &[
                        KIND,
                        $($($crate::plan::define::setting!(
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
                from: &mut dyn $crate::plan::define::Reader,
            ) -> $crate::Result<Self> {
                match kind {
                    $($word => Ok(Self::$variant $({
                        $($field: $crate::plan::define::Field::read(from, stringify!($field))?,)+
                    })?),)+
                    other => Err($crate::Error::internal(format!("no kind `{other}`"))),
                }
            }
        }

        impl $crate::plan::define::Field for $name {
            const KIND: $crate::plan::setting::Kind = $crate::plan::setting::Kind::Table($place);
            fn read_optional(
                from: &mut dyn $crate::plan::define::Reader,
                key: &str,
            ) -> $crate::Result<Option<Self>> {
                use $crate::plan::define::Tagged as _;
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

/// Defines a choice: an enum, and the word of each variant; `= Variant` after its name is the default.
macro_rules! words {
    (
        $(#[doc = $about:literal])+
        pub enum $name:ident $(= $default:ident)? {
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

        $(impl Default for $name {
            fn default() -> Self {
                Self::$default
            }
        })?

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
            /// The variant of a word.
            #[must_use]
            pub fn of_word(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl $crate::plan::define::Field for $name {
            const KIND: $crate::plan::setting::Kind =
                $crate::plan::setting::Kind::Choice(Self::WORDS);
            fn read_optional(
                from: &mut dyn $crate::plan::define::Reader,
                key: &str,
            ) -> $crate::Result<Option<Self>> {
                Ok(from.word(key)?.and_then(|word| Self::of_word(&word)))
            }
        }

        impl $crate::plan::define::Field for Vec<$name> {
            const KIND: $crate::plan::setting::Kind = $crate::plan::setting::Kind::Texts;
            fn read_optional(
                from: &mut dyn $crate::plan::define::Reader,
                key: &str,
            ) -> $crate::Result<Option<Self>> {
                let words = from.words(key, $name::WORDS)?;
                Ok(words.map(|words| words.iter().filter_map(|w| $name::of_word(w)).collect()))
            }
        }
    };
}

pub(crate) use {kinds, setting, settings, words};
