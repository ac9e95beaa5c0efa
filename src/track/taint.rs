//! Lasting changes to a connection, which outlive the statement that made them.

/// Set of kinds of lasting changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taint(u8);

impl Taint {
    pub(crate) const NONE: Self = Self(0);
    /// A schema object was created, which may be temporary.
    pub(crate) const SCHEMA: Self = Self(1);
    /// A database was attached or detached.
    pub(crate) const ATTACHED: Self = Self(2);
    /// A pragma was set that the pool can restore.
    pub(crate) const PRAGMA: Self = Self(4);
    /// Foreign code has or had the handle.
    pub(crate) const RAW: Self = Self(8);
    /// Virtual tables or functions were registered.
    pub(crate) const REGISTERED: Self = Self(16);
    /// A setting of finalite was changed.
    pub(crate) const SETTING: Self = Self(32);
    /// A pragma, or a property of a file, was set that the pool cannot restore.
    pub(crate) const OTHER_PRAGMA: Self = Self(64);
    /// A limit or a switch of the connection was set.
    pub(crate) const CONFIG: Self = Self(128);

    #[inline]
    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[inline]
    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}
