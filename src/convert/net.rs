//! Conversions of network addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use super::{FromSql, Param, ToSql};
use crate::value::{ConversionError, ValueRef};

macro_rules! addresses {
    ($($type:ident)*) => {
        $(
            impl FromSql<'_> for $type {
                fn from_sql(value: ValueRef<'_>) -> Result<Self, ConversionError> {
                    let text = value.text_as(stringify!($type))?;
                    text.parse().map_err(|_| ConversionError::message(stringify!($type), "not such an address"))
                }
            }

            impl ToSql for $type {
                fn to_sql(&self) -> Param<'_> {
                    Param::text(self.to_string())
                }
            }
        )*
    };
}

addresses! { IpAddr Ipv4Addr Ipv6Addr SocketAddr SocketAddrV4 SocketAddrV6 }
