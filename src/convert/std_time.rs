//! Conversions of std's [`SystemTime`] and [`Duration`].

use std::time::{Duration, SystemTime};

use super::datetime::{Instant, Sealed, moments};
use super::{FromSql, Param, ToSql};
use crate::value::{ConversionError, ValueRef};

impl Sealed for SystemTime {
    const NAME: &'static str = "SystemTime";

    fn to_instant(&self) -> Result<Instant, ConversionError> {
        let out_of_range = || ConversionError::out_of_range(Self::NAME);
        let (seconds, nanos) = match self.duration_since(Self::UNIX_EPOCH) {
            Ok(after) => (i64::try_from(after.as_secs()).map_err(|_| out_of_range())?, after.subsec_nanos()),
            Err(error) => {
                let before = error.duration();
                let seconds = i64::try_from(before.as_secs()).map_err(|_| out_of_range())?;
                match before.subsec_nanos() {
                    0 => (-seconds, 0),
                    nanos => (-seconds - 1, 1_000_000_000 - nanos),
                }
            }
        };
        Ok(Instant { seconds, nanos, offset: Some(0) })
    }

    fn from_instant(instant: Instant) -> Result<Self, ConversionError> {
        let seconds = Duration::from_secs(instant.seconds.unsigned_abs());
        let nanos = Duration::from_nanos(instant.nanos.into());
        let whole = if instant.seconds < 0 {
            Self::UNIX_EPOCH.checked_sub(seconds)
        } else {
            Self::UNIX_EPOCH.checked_add(seconds)
        };
        let time = whole.and_then(|whole| whole.checked_add(nanos));
        let time = time.ok_or_else(|| ConversionError::out_of_range(Self::NAME))?;
        // Windows counts in units of 100 nanoseconds.
        if time.to_instant()?.nanos != instant.nanos {
            return Err(ConversionError::not_exact(Self::NAME));
        }
        Ok(time)
    }
}

moments! { SystemTime }

fn read_duration(value: ValueRef<'_>, per_second: u64, name: &'static str) -> Result<Duration, ConversionError> {
    let ValueRef::Integer(units) = value else {
        return Err(ConversionError::wrong_type(name));
    };
    let units = u64::try_from(units).map_err(|_| ConversionError::out_of_range(name))?;
    let part = Duration::from_nanos(units % per_second * (1_000_000_000 / per_second));
    Ok(Duration::from_secs(units / per_second) + part)
}

fn write_duration(duration: Duration, per_second: u64, name: &'static str) -> Param<'static> {
    let units = i64::try_from(duration.as_nanos() / u128::from(1_000_000_000 / per_second));
    units.map_or_else(|_| Param::error(ConversionError::out_of_range(name)), Param::integer)
}

macro_rules! durations {
    ($($(#[$doc:meta])* $name:ident: $per_second:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub struct $name(pub Duration);

            impl FromSql<'_> for $name {
                fn from_sql(value: ValueRef<'_>) -> Result<Self, ConversionError> {
                    read_duration(value, $per_second, stringify!($name)).map(Self)
                }
            }

            impl ToSql for $name {
                fn to_sql(&self) -> Param<'_> {
                    write_duration(self.0, $per_second, stringify!($name))
                }
            }
        )*
    };
}

durations! {
    /// A [`Duration`] as the INTEGER of its whole seconds. Binding discards the rest.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use finalite::{Connection, convert::Seconds};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// assert_eq!(conn.query_one::<i64>("SELECT ?", (Seconds(Duration::from_millis(2999)),))?, 2);
    /// assert_eq!(conn.query_one::<Seconds>("SELECT 3", ())?.0, Duration::from_secs(3));
    /// # Ok::<(), finalite::Error>(())
    /// ```
    Seconds: 1;
    /// A [`Duration`] as the INTEGER of its whole milliseconds. Binding discards the rest.
    ///
    /// See [`Seconds`] for an example.
    Millis: 1_000;
    /// A [`Duration`] as the INTEGER of its whole microseconds. Binding discards the rest.
    ///
    /// See [`Seconds`] for an example.
    Micros: 1_000_000;
    /// A [`Duration`] as the INTEGER of its nanoseconds, up to 292 years.
    ///
    /// See [`Seconds`] for an example.
    Nanos: 1_000_000_000;
}
