//! Versions as Kubernetes writes them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A release: `1.35.4`, with or without `v`; what follows a `-` or a `+` is left out. Serves for
/// etcd (`3.6.6-0`) and CoreDNS (`v1.13.1`) too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second.
    pub minor: u32,
    /// The third; 0 where it is missing.
    pub patch: u32,
}

/// A text that is no version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a version such as 1.35.4")]
pub struct NoVersion(
    /// The text.
    pub String,
);

impl Version {
    /// Of these numbers.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// How many minors this is ahead of another one of the same major; negative where it is behind.
    /// Of different majors more than any rule allows.
    pub fn minors_ahead(self, other: Self) -> i64 {
        const FAR: i64 = 1000;
        (i64::from(self.major) - i64::from(other.major)) * FAR + i64::from(self.minor)
            - i64::from(other.minor)
    }

    /// `1.35`.
    pub fn line(self) -> String {
        format!("{}.{}", self.major, self.minor)
    }

    /// The version in an image's tag: `registry.k8s.io/etcd:3.6.6-0`.
    pub fn of_image(image: &str) -> Option<Self> {
        image.split('@').next()?.rsplit_once(':')?.1.parse().ok()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}.{}", self.major, self.minor, self.patch))
    }
}

impl FromStr for Version {
    type Err = NoVersion;

    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let plain = text.trim().trim_start_matches('v').split(['-', '+']).next().unwrap_or_default();
        let numbers: Option<Vec<u32>> = plain.split('.').map(|part| part.parse().ok()).collect();
        match numbers.as_deref() {
            Some([major, minor]) => Ok(Self::new(*major, *minor, 0)),
            Some([major, minor, patch]) => Ok(Self::new(*major, *minor, *patch)),
            _ => Err(NoVersion(text.into())),
        }
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

impl TryFrom<String> for Version {
    type Error = NoVersion;

    fn try_from(text: String) -> Result<Self, NoVersion> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_programs_and_tags_write_them() {
        for (text, version) in [
            ("1.35.4", Version::new(1, 35, 4)),
            ("v1.36.0-rc.1", Version::new(1, 36, 0)),
            ("v1.34.4+k3s1", Version::new(1, 34, 4)),
            ("3.6.6-0", Version::new(3, 6, 6)),
            ("1.35", Version::new(1, 35, 0)),
        ] {
            assert_eq!(text.parse(), Ok(version));
        }
        for text in ["", "v", "1", "1.x.3", "1.2.3.4"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
        assert_eq!(Version::of_image("127.0.0.1:5000/coredns/coredns:v1.13.1"), Some(Version::new(1, 13, 1)));
        assert_eq!(Version::of_image("127.0.0.1:5000/coredns"), None);
    }

    #[test]
    fn they_are_stored_as_text() {
        let version = Version::new(1, 35, 4);
        assert_eq!(String::from(version), "1.35.4");
        assert_eq!(Version::try_from("1.35.4".to_owned()), Ok(version));
    }

    #[test]
    fn they_compare_by_number() {
        assert!(Version::new(1, 9, 0) < Version::new(1, 10, 0));
        assert_eq!(Version::new(1, 35, 0).minors_ahead(Version::new(1, 34, 9)), 1);
        assert!(Version::new(2, 0, 0).minors_ahead(Version::new(1, 99, 0)) > 3);
    }
}
