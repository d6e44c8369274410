//! Who reads a setting, and what that depends on.

use std::cell::OnceCell;

use super::given::Given;
use crate::Result;
use crate::config::context::{PlanContext, UnreadParams};
use crate::data::DataPlan;
use crate::plan::{BlockPlan, PhasePlan, RunPlan};

/// The settings of one place of the reference and their readers.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// As in the reference, without a kind in parentheses.
    pub place: &'static str,
    /// One entry for each setting.
    pub readers: &'static [Reader],
}

/// Who reads a setting.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    /// The setting's key.
    pub key: &'static str,
    /// What reads it.
    pub by: &'static str,
    /// Where it is read, in words; empty: always.
    pub only: &'static str,
    /// Why it is not read in a scene.
    pub(super) unread: Option<Unread>,
}

/// Why a setting is not read, and what to do; `None` where it is read.
pub(super) type Unread = fn(&Scene<'_>) -> Result<Option<String>>;

impl Reader {
    pub(super) const fn always(key: &'static str, by: &'static str) -> Self {
        Self {
            key,
            by,
            only: "",
            unread: None,
        }
    }
    pub(super) const fn only(
        key: &'static str,
        by: &'static str,
        only: &'static str,
        unread: Unread,
    ) -> Self {
        Self {
            key,
            by,
            only,
            unread: Some(unread),
        }
    }
}

/// What a condition looks at: the plan, and the part of it that the setting belongs to.
pub(super) struct Scene<'a> {
    pub(super) plan: &'a RunPlan,
    pub(super) context: &'a dyn PlanContext,
    pub(super) given: &'a Given,
    /// What [`PlanContext::unread`] says, asked at the first need: it binds every layer.
    pub(super) unread: &'a OnceCell<Vec<UnreadParams>>,
    pub(super) phase: Option<&'a PhasePlan>,
    pub(super) block: Option<&'a BlockPlan>,
    /// Name of the set in phases, and the set.
    pub(super) set: Option<(&'a str, &'a DataPlan)>,
}
