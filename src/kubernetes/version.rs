//! Version numbers as Kubernetes writes them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A release: `1.35.4`, with or without `v`. Also for etcd (`3.6.6-0`) and CoreDNS (`v1.13.1`).
///
/// The suffix of a pre-release (`1.36.0-rc.1`) is part of the version. The build number of an image's tag (`3.6.6-0`),
/// a vendor's suffix (`-gke.100`) and build metadata after `+` are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
    /// The third number; 0 if it is missing.
    pub patch: u32,
    /// Whether it is the release itself or a pre-release.
    pub stage: Stage,
}

/// The stage of a version on the way to its release, in the order of semver. The second number counts the commits since
/// the pre-release was tagged: 57 for `1.36.0-alpha.2.57`, 0 for a pre-release itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// `-alpha.2`.
    Alpha(u32, u32),
    /// `-beta.0`.
    Beta(u32, u32),
    /// `-rc.1`.
    Rc(u32, u32),
    /// The release.
    Release,
}

/// A text that is not a version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a version such as 1.35.4 or 1.36.0-rc.1")]
pub struct NoVersion(
    /// The text.
    pub String,
);

impl Version {
    /// Returns the release with these numbers.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch, stage: Stage::Release }
    }

    /// Returns how many minor versions this is ahead of another version of the same major version; negative if it is
    /// behind. For different major versions, it returns more than any rule allows.
    pub fn minors_ahead(self, other: Self) -> i64 {
        const FAR: i64 = 1000;
        (i64::from(self.major) - i64::from(other.major)) * FAR + i64::from(self.minor)
            - i64::from(other.minor)
    }

    /// Whether it belongs to this minor version or a later one. A pre-release counts, because it contains the changes
    /// of its minor version.
    pub fn is_of_or_after(self, major: u32, minor: u32) -> bool {
        (self.major, self.minor) >= (major, minor)
    }

    /// Returns the minor version, such as `1.35`.
    pub fn line(self) -> String {
        format!("{}.{}", self.major, self.minor)
    }

    /// Returns the version in an image's tag: `registry.k8s.io/etcd:3.6.6-0`.
    pub fn of_image(image: &str) -> Option<Self> {
        image.split('@').next()?.rsplit_once(':')?.1.parse().ok()
    }
}

impl Stage {
    /// Parses a suffix without its `-` as a stage. Returns none if it begins like a pre-release but is not valid.
    fn of(suffix: &str) -> Option<Self> {
        let (name, rest) = suffix.split_once('.').unwrap_or((suffix, ""));
        let stage = match name.trim_end_matches(|c: char| c.is_ascii_digit()) {
            "alpha" => Self::Alpha,
            "beta" => Self::Beta,
            "rc" => Self::Rc,
            _ => return Some(Self::Release),
        };
        let (number, commits) = rest.split_once('.').unwrap_or((rest, "0"));
        Some(stage(number.parse().ok()?, commits.parse().ok()?))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}.{}{}", self.major, self.minor, self.patch, self.stage))
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, number, commits) = match self {
            Self::Alpha(number, commits) => ("alpha", number, commits),
            Self::Beta(number, commits) => ("beta", number, commits),
            Self::Rc(number, commits) => ("rc", number, commits),
            Self::Release => return Ok(()),
        };
        write!(f, "-{name}.{number}")?;
        if *commits > 0 { write!(f, ".{commits}") } else { Ok(()) }
    }
}

impl FromStr for Version {
    type Err = NoVersion;

    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let no = || NoVersion(text.into());
        let plain = text.trim().trim_start_matches('v').split('+').next().unwrap_or_default();
        let (plain, suffix) = plain.split_once('-').unwrap_or((plain, ""));
        let stage = Stage::of(suffix).ok_or_else(no)?;
        let numbers: Option<Vec<u32>> = plain.split('.').map(|part| part.parse().ok()).collect();
        match numbers.as_deref() {
            Some([major, minor]) if stage == Stage::Release => Ok(Self::new(*major, *minor, 0)),
            Some([major, minor, patch]) => Ok(Self { stage, ..Self::new(*major, *minor, *patch) }),
            _ => Err(no()),
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
        let before = |stage| Version { stage, ..Version::new(1, 36, 0) };
        for (text, version) in [
            ("1.35.4", Version::new(1, 35, 4)),
            ("v1.36.0-rc.1", before(Stage::Rc(1, 0))),
            ("v1.36.0-alpha.2.57+0123abcd", before(Stage::Alpha(2, 57))),
            ("v1.34.4+k3s1", Version::new(1, 34, 4)),
            ("v1.34.4-gke.100", Version::new(1, 34, 4)),
            ("3.6.6-0", Version::new(3, 6, 6)),
            ("1.35", Version::new(1, 35, 0)),
        ] {
            assert_eq!(text.parse(), Ok(version));
        }
        for text in
            ["", "v", "1", "1.x.3", "1.2.3.4", "1.36.0-rc", "1.36.0-rc1", "1.36.0-beta.x", "1.36-rc.1"]
        {
            let wrong = text.parse::<Version>().expect_err(text);
            assert_eq!(wrong.to_string(), format!("{text:?} is not a version such as 1.35.4 or 1.36.0-rc.1"));
        }
        assert_eq!(Version::of_image("127.0.0.1:5000/coredns/coredns:v1.13.1"), Some(Version::new(1, 13, 1)));
        assert_eq!(Version::of_image("127.0.0.1:5000/coredns"), None);
    }

    #[test]
    fn versions_are_stored_as_text() {
        for text in ["1.35.4", "1.36.0-alpha.2.57", "1.36.0-beta.0", "1.36.0-rc.1"] {
            let version = Version::try_from(text.to_owned()).unwrap();
            assert_eq!(String::from(version), text);
        }
    }

    #[test]
    fn versions_compare_by_number() {
        assert!(Version::new(1, 9, 0) < Version::new(1, 10, 0));
        assert_eq!(Version::new(1, 35, 0).minors_ahead(Version::new(1, 34, 9)), 1);
        assert!(Version::new(2, 0, 0).minors_ahead(Version::new(1, 99, 0)) > 3);
    }

    #[test]
    fn a_pre_release_comes_before_its_release_and_has_what_its_minor_version_has() {
        let order = ["1.35.9", "1.36.0-alpha.2", "1.36.0-alpha.2.57", "1.36.0-alpha.10", "1.36.0-beta.0"];
        let order = order.into_iter().chain(["1.36.0-rc.0", "1.36.0-rc.1", "1.36.0", "1.36.1-rc.0"]);
        let order: Vec<Version> = order.map(|text| text.parse().unwrap()).collect();
        assert!(order.is_sorted_by(|a, b| a < b), "{order:?}");
        let of_36: Vec<bool> = order.iter().map(|v| v.is_of_or_after(1, 36)).collect();
        assert_eq!(of_36, [false, true, true, true, true, true, true, true, true]);
    }
}
