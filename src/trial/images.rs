//! The user's images: loaded from the container engine onto the nodes, and put in place of names in the manifests.

use super::TrialError;

/// Images of the user. A profile never replaces them: only these arguments do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Images(Vec<(Option<String>, String)>);

impl Images {
    /// Reads arguments `NAME` or `FROM=TO`. A digest contains no `=`, so the first one separates the names.
    ///
    /// # Errors
    /// [`TrialError::Image`].
    pub fn read(arguments: &[String]) -> Result<Self, TrialError> {
        let read = arguments.iter().map(|text| match text.split_once('=') {
            None if !text.is_empty() => Ok((None, text.clone())),
            Some((from, to)) if !from.is_empty() && !to.is_empty() => Ok((Some(from.into()), to.into())),
            _ => Err(TrialError::Image { text: text.clone() }),
        });
        Ok(Self(read.collect::<Result<_, _>>()?))
    }

    /// Returns images that replace others by name.
    pub fn replacing(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(pairs.into_iter().map(|(from, to)| (Some(from), to)).collect())
    }

    /// The names in the manifests that are replaced, each with the image that runs.
    pub fn replaced(&self) -> impl Iterator<Item = (String, String)> {
        self.0.iter().filter_map(|(from, to)| Some((from.clone()?, to.clone())))
    }

    /// The arguments, as they were read.
    pub fn arguments(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(from, to)| match from {
            Some(from) => format!("{from}={to}"),
            None => to.clone(),
        })
    }

    /// These images, and then those of `others`.
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// The images that the nodes need, each once.
    pub fn loaded(&self) -> Vec<&str> {
        let mut all: Vec<&str> = Vec::new();
        for (_, image) in &self.0 {
            if !all.contains(&image.as_str()) {
                all.push(image);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_a_name_or_a_pair() {
        let read = |texts: &[&str]| Images::read(&texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>());
        let images = read(&["shop:dev", "nginx:1=shop:dev", "a@sha256:0f=b"]).unwrap();
        assert_eq!(images.loaded(), ["shop:dev", "b"]);
        let pairs: Vec<_> = images.replaced().collect();
        assert_eq!(pairs, [("nginx:1".into(), "shop:dev".into()), ("a@sha256:0f".into(), "b".into())]);
        for wrong in ["", "=b", "a="] {
            assert!(read(&[wrong]).is_err(), "{wrong}");
        }
    }
}
