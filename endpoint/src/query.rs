//! Query parameters of `/handles.json`.

use std::time::Duration;

use finalite::handles::HandleKind;

/// Selection of the handles that `/handles.json` lists.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) kind: Option<HandleKind>,
    pub(crate) older_than: Duration,
    pub(crate) limit: Option<usize>,
}

/// Parses a query such as `kind=statement&older_than=2.5&limit=100`; the error is a message for the client.
pub(crate) fn filter(query: &str) -> Result<Filter, String> {
    let mut filter = Filter::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "kind" => filter.kind = Some(kind(value)?),
            "older_than" => filter.older_than = seconds(value).ok_or("older_than: a number of seconds is expected")?,
            "limit" => filter.limit = Some(value.parse().map_err(|_| "limit: a whole number is expected")?),
            _ => return Err("the parameters are kind, older_than and limit".into()),
        }
    }
    Ok(filter)
}

fn kind(name: &str) -> Result<HandleKind, String> {
    let known = HandleKind::ALL.into_iter().find(|kind| kind.name() == name);
    known.ok_or_else(|| format!("kind: one of {} is expected", HandleKind::ALL.map(HandleKind::name).join(", ")))
}

fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read() {
        let read = filter("kind=cached_statement&older_than=2.5&limit=3").unwrap();
        assert_eq!(read.kind, Some(HandleKind::CachedStatement));
        assert_eq!(read.older_than, Duration::from_millis(2500));
        assert_eq!(read.limit, Some(3));
        assert_eq!(filter("").unwrap().limit, None);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for query in
            ["kind=statments", "kind", "older_than=-1", "older_than=NaN", "older_than=1e300", "limit=-1", "a=b"]
        {
            assert!(filter(query).is_err(), "{query}");
        }
        assert!(filter("kind=x").unwrap_err().contains("cached_statement"));
    }
}
