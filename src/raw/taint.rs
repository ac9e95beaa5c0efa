//! What was done to a connection that outlives the statement that did it.

/// Kinds of lasting change, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taint(u8);

impl Taint {
    pub(crate) const NONE: Self = Self(0);
    /// Something was created, and may be temporary.
    pub(crate) const SCHEMA: Self = Self(1);
    /// A database was attached or detached.
    pub(crate) const ATTACHED: Self = Self(2);
    /// A pragma was given a value, one that the pool can put back.
    pub(crate) const PRAGMA: Self = Self(4);
    /// Foreign code has, or had, the handle.
    pub(crate) const RAW: Self = Self(8);
    /// Tables or functions were added.
    pub(crate) const REGISTERED: Self = Self(16);
    /// A setting of finalite's own was changed.
    pub(crate) const SETTING: Self = Self(32);
    /// A pragma was given a value, and is not one of those.
    pub(crate) const OTHER_PRAGMA: Self = Self(64);

    #[inline]
    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[inline]
    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}
