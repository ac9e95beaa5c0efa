//! A strict reader of metrics: it takes OpenMetrics 1.0 or Prometheus text 0.0.4, and says what is wrong with anything
//! else.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::BTreeSet;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Format {
    OpenMetrics,
    /// No units and no end; a counter is called as its sample is.
    Text,
}

#[derive(Debug)]
pub struct Family {
    pub name: String,
    pub of: String,
    pub unit: Option<String>,
    pub samples: Vec<Sample>,
}

#[derive(Debug)]
pub struct Sample {
    pub name: String,
    pub labels: Vec<(String, String)>,
    pub value: f64,
}

impl Sample {
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| label == name).map(|(_, value)| value.as_str())
    }
}

/// The families by name, and their samples.
#[derive(Debug)]
pub struct Metrics(pub Vec<Family>);

impl Metrics {
    pub fn family(&self, name: &str) -> Option<&Family> {
        self.0.iter().find(|family| family.name == name)
    }

    /// The one sample with this name and these labels.
    #[track_caller]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.find(name, labels).unwrap_or_else(|| panic!("there is no {name} {labels:?}"))
    }

    pub fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |sample: &&Sample| {
            sample.name == name
                && sample.labels.len() == labels.len()
                && labels.iter().all(|(name, value)| sample.label(name) == Some(value))
        };
        self.0.iter().flat_map(|family| &family.samples).find(has).map(|sample| sample.value)
    }
}

pub fn parse(text: &str, format: Format) -> Result<Metrics, String> {
    let mut families: Vec<Family> = Vec::new();
    let mut lines = text.strip_suffix('\n').ok_or("the last line has no end")?.split('\n');
    if format == Format::OpenMetrics && lines.next_back() != Some("# EOF") {
        return Err("the end is missing".into());
    }
    // What is said of a family before its samples: its name, and what was said.
    let mut head: (String, Vec<&str>) = Default::default();
    for line in lines {
        let wrong = |what: &str| Err(format!("{what}: {line}"));
        let Some(meta) = line.strip_prefix("# ") else {
            let sample = sample(line).ok_or_else(|| format!("no sample: {line}"))?;
            match families.last_mut() {
                Some(family)
                    if suffixes(family, format).iter().any(|s| sample.name == format!("{}{s}", family.name)) =>
                {
                    family.samples.push(sample);
                }
                _ => return wrong("a sample of no family"),
            }
            continue;
        };
        let mut words = meta.splitn(3, ' ');
        let (Some(keyword), Some(name), Some(rest)) = (words.next(), words.next(), words.next()) else {
            return wrong("no metadata");
        };
        if head.0 != name {
            if families.iter().any(|family| family.name == name) {
                return wrong("a family once more");
            }
            head = (name.into(), Vec::new());
            families.push(Family { name: name.into(), of: String::new(), unit: None, samples: Vec::new() });
        }
        if head.1.contains(&keyword) {
            return wrong("said twice");
        }
        head.1.push(keyword);
        let family = families.last_mut().ok_or("no family")?;
        match keyword {
            _ if !family.samples.is_empty() => return wrong("metadata behind a sample"),
            "HELP" if !rest.is_empty() => {}
            "TYPE" => family.of = rest.into(),
            "UNIT" if format == Format::OpenMetrics => family.unit = Some(rest.into()),
            _ => return wrong("no metadata"),
        }
    }
    families.iter().try_for_each(|family| check(family, format))?;
    Ok(Metrics(families))
}

fn suffixes(family: &Family, format: Format) -> &'static [&'static str] {
    match (family.of.as_str(), format) {
        ("gauge", _) | ("counter", Format::Text) => &[""],
        ("counter", Format::OpenMetrics) => &["_total"],
        ("info", Format::OpenMetrics) => &["_info"],
        ("histogram", _) => &["_bucket", "_sum", "_count"],
        _ => &[],
    }
}

fn check(family: &Family, format: Format) -> Result<(), String> {
    let name = &family.name;
    let wrong = |what: &str| Err(format!("{what}: {family:?}"));
    if !is_name(name) {
        return wrong("no name");
    }
    if suffixes(family, format).is_empty() {
        return wrong("no type");
    }
    if family.unit.as_ref().is_some_and(|unit| !name.ends_with(&format!("_{unit}"))) {
        return wrong("the unit is not in the name");
    }
    if (family.of == "counter") != (name.ends_with("_total")) && format == Format::Text {
        return wrong("a counter ends in _total, and nothing else does");
    }
    if name.ends_with("_total") && format == Format::OpenMetrics {
        return wrong("_total is the sample's");
    }
    let mut seen = BTreeSet::new();
    for sample in &family.samples {
        if !seen.insert(format!("{} {:?}", sample.name, sample.labels)) {
            return wrong("a sample twice");
        }
        let names: BTreeSet<_> = sample.labels.iter().map(|(name, _)| name).collect();
        if names.len() != sample.labels.len() || names.iter().any(|name| !is_name(name)) {
            return wrong("labels");
        }
        let is_good = match family.of.as_str() {
            "counter" | "histogram" => sample.value.is_finite() && sample.value >= 0.0,
            "info" => sample.value == 1.0,
            _ => true,
        };
        if !is_good {
            return wrong("a value");
        }
    }
    if family.of == "histogram" { check_histogram(family) } else { Ok(()) }
}

/// One without labels of its own.
fn check_histogram(family: &Family) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{what}: {family:?}"));
    let mut last = (f64::NEG_INFINITY, 0.0);
    let of = |suffix: &'static str| family.samples.iter().filter(move |sample| sample.name.ends_with(suffix));
    for bucket in of("_bucket") {
        let Some(bound) = bucket.label("le").and_then(number).filter(|_| bucket.labels.len() == 1) else {
            return wrong("a bucket's bound");
        };
        if bound <= last.0 || bucket.value < last.1 {
            return wrong("buckets are in order, and hold what is in those before");
        }
        last = (bound, bucket.value);
    }
    let (Some(count), Some(_)) = (of("_count").next(), of("_sum").next()) else {
        return wrong("count and sum");
    };
    if last != (f64::INFINITY, count.value) { wrong("the last bucket has all") } else { Ok(()) }
}

fn is_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.starts_with(|c: char| !c.is_ascii_digit())
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        // No spaces, no names of other numbers.
        _ if text.bytes().all(|byte| b"0123456789.+-eE".contains(&byte)) => text.parse().ok(),
        _ => None,
    }
}

/// `name{label="value",...} number`, and nothing behind it.
fn sample(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(mut inside) = rest.strip_prefix('{') {
        loop {
            let (label, behind) = inside.split_once("=\"")?;
            let (value, behind) = quoted(behind)?;
            labels.push((label.into(), value));
            match behind.strip_prefix(',') {
                Some(next) => inside = next,
                None => break rest = behind.strip_prefix('}')?,
            }
        }
    }
    Some(Sample { name: name.into(), labels, value: number(rest.strip_prefix(' ')?)? })
}

/// What is up to the closing quote, and what is behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    loop {
        match chars.next()? {
            (at, '"') => return Some((value, &text[at + 1..])),
            (_, '\\') => value.push(match chars.next()?.1 {
                'n' => '\n',
                c @ ('"' | '\\') => c,
                _ => return None,
            }),
            (_, c) => value.push(c),
        }
    }
}

/// Copies of a good text that are each damaged in one way.
pub fn damaged(text: &str, format: Format) -> Vec<String> {
    let swap = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    };
    let total = match format {
        Format::OpenMetrics => "sqlite_native_allocs_total ",
        Format::Text => "\nsqlite_native_allocs_total ",
    };
    let mut copies = vec![
        swap("# TYPE sqlite_native_memory_bytes gauge\n", ""),
        swap("# TYPE sqlite_native_memory_bytes gauge\n", "# TYPE sqlite_native_memory_bytes gauge\n\n"),
        swap("# TYPE sqlite_native_memory_bytes gauge\n", "# TYPE sqlite_native_memory_bytes gauges\n"),
        swap("# TYPE sqlite_handles gauge\n", "# TYPE sqlite_handles gauge\n# TYPE sqlite_handles gauge\n"),
        swap("sqlite_handles{kind=\"connection\"} ", "sqlite_handles{kind=\"connection} "),
        swap("sqlite_handles{kind=\"connection\"} ", "sqlite_handles{kind=\"statement\"} "),
        swap("sqlite_handles{kind=\"connection\"} ", "sqlite_handle{kind=\"connection\"} "),
        swap("sqlite_handles{kind=\"connection\"} ", "sqlite_handles{kind=\"connection\"} x"),
        swap("le=\"+Inf\"} ", "le=\"+Inf\"} 9"),
        swap("le=\"+Inf\"", "le=\"0.5\""),
        swap(total, &total.replace("total", "count")),
        swap(total, &format!("{total}-")),
        format!("{text}sqlite_handles 1\n"),
        text.trim_end().into(),
    ];
    if format == Format::OpenMetrics {
        copies.push(swap("# EOF\n", ""));
        copies.push(swap("# UNIT sqlite_native_memory_bytes bytes\n", "# UNIT sqlite_native_memory_bytes seconds\n"));
    }
    copies
}
