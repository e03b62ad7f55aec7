//! The builder on tiny recipes: what it caches, what it builds again, and what remains when it is killed.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use seatrial::deadline::Deadline;
use seatrial::exec::Exec;
use seatrial::image::build::{Builder, Built, Piece};
use seatrial::image::{self, BuildError};
use seatrial::progress::{Progress, Update};
use seatrial::secret::Secrets;

use crate::fake_engine::Trouble;
use crate::state_folder::Ground;

/// Recipes `low`, `left` and `right` (which need it), `top` (which needs both).
struct Yard {
    dir: tempfile::TempDir,
    seen: std::sync::Arc<std::sync::Mutex<Vec<String>>>,
}

impl Yard {
    fn new() -> Self {
        let yard = Self { dir: tempfile::tempdir().unwrap(), seen: Default::default() };
        yard.recipe("low", "echo step: $VERSION; echo low-$VERSION > $OUT/file");
        for side in ["left", "right"] {
            yard.recipe(
                side,
                &format!("cat $NEED_LOW/file > $OUT/file; echo {side} >> $OUT/file # common.sh"),
            );
        }
        yard.recipe(
            "top",
            "cat $NEED_LEFT/file $NEED_RIGHT/file > $OUT/file; echo $IMAGE $COLOUR >> $OUT/file",
        );
        std::fs::create_dir(yard.recipes().join("lib")).unwrap();
        std::fs::write(yard.recipes().join("lib/common.sh"), "# debian.sh 1").unwrap();
        std::fs::write(yard.recipes().join("lib/debian.sh"), "1").unwrap();
        yard
    }

    fn recipes(&self) -> PathBuf {
        self.dir.path().join("recipes")
    }

    fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    fn recipe(&self, name: &str, script: &str) {
        let file = self.recipes().join(name).join("build");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, format!("#!/bin/sh\nset -eu\n{script}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn builder(&self) -> Builder {
        let seen = self.seen.clone();
        let progress = Progress::new(move |update| {
            let line = match update {
                Update::Started { task } => format!("> {task}"),
                Update::Detail { task, text } => format!("  {task}: {text}"),
                Update::Ended { task, .. } => format!("< {task}"),
                Update::Said(text) => text.to_owned(),
            };
            seen.lock().unwrap().push(line);
        });
        Builder::new(&self.cache(), &self.recipes(), 2, progress)
    }

    fn saw(&self, text: &str) -> bool {
        self.seen.lock().unwrap().iter().any(|line| line.contains(text))
    }

    async fn build(&self) -> Result<Built, BuildError> {
        self.builder().build(&pieces("1.0"), "top", soon()).await
    }

    fn built(&self) -> Vec<String> {
        names(&self.cache().join("built"))
    }
}

fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}

fn piece(recipe: &str, version: &str, needs: &[&str]) -> Piece {
    Piece {
        id: recipe.into(),
        recipe: recipe.into(),
        version: version.into(),
        parameters: BTreeMap::new(),
        needs: needs.iter().map(|n| (*n).to_owned()).collect(),
        image: None,
        disk: 1000,
    }
}

fn pieces(version: &str) -> Vec<Piece> {
    let mut top = piece("top", "", &["left", "right"]);
    top.image = Some("seatrial.local/top:v1".into());
    top.parameters.insert("COLOUR".into(), "blue".into());
    vec![piece("low", version, &[]), piece("left", "", &["low"]), piece("right", "", &["low"]), top]
}

/// Secrets that were recognised elsewhere, such as a proxy's password, have no recognisable shape in a tool's output.
#[tokio::test]
async fn a_log_has_nothing_that_is_remembered_as_secret() {
    let yard = Yard::new();
    yard.recipe("left", "echo 'denied for blue-Horse-7'; echo x > $OUT/file");
    let secrets = Secrets::default();
    secrets.learn("blue-Horse-7");
    let piece = [piece("left", "1.0", &[])];
    yard.builder().without(&secrets).build(&piece, "left", soon()).await.unwrap();
    let logs = yard.cache().join("logs");
    let log = std::fs::read_to_string(logs.join(&names(&logs)[0])).unwrap();
    assert!(log.contains("denied for (left out)"), "{log}");
}

#[tokio::test]
async fn pieces_are_built_in_the_order_of_their_needs_and_only_once() {
    let yard = Yard::new();
    let first = yard.build().await.unwrap();
    assert_eq!((first.made.first().unwrap().as_str(), first.made.last().unwrap().as_str()), ("low", "top"));
    let image = format!("seatrial.local/top:v1-{}", &first.key[..16]);
    let text = std::fs::read_to_string(first.dir.join("file")).unwrap();
    assert_eq!(text, format!("low-1.0\nleft\nlow-1.0\nright\n{image} blue\n"));
    assert_eq!(first.image.as_deref(), Some(image.as_str()));
    assert!(yard.saw("build low 1.0: 1.0"), "a step is shown");
    assert_eq!(names(&yard.cache().join("building")), [""; 0]);
    assert!(yard.built()[1].starts_with("low-1.0-"), "{:?}", yard.built());

    let second = yard.build().await.unwrap();
    assert_eq!((second.made.len(), &second.dir), (0, &first.dir));
}

#[tokio::test]
async fn a_piece_that_only_finished_pieces_need_is_not_built_again() {
    let yard = Yard::new();
    yard.build().await.unwrap();
    let low = yard.built().into_iter().find(|n| n.starts_with("low")).unwrap();
    std::fs::remove_dir_all(yard.cache().join("built").join(low)).unwrap();
    assert_eq!(yard.build().await.unwrap().made, [""; 0]);
}

#[tokio::test]
async fn a_changed_input_builds_what_depends_on_it_and_nothing_else() {
    let yard = Yard::new();
    let first = yard.build().await.unwrap();
    std::fs::write(yard.recipes().join("left/extra"), "x").unwrap();
    let second = yard.build().await.unwrap();
    assert_eq!(second.made, ["left", "top"]);
    assert_ne!(first.key, second.key);

    for shared in ["common.sh", "debian.sh"] {
        std::fs::write(yard.recipes().join("lib").join(shared), "# debian.sh 2").unwrap();
        let mut made = yard.build().await.unwrap().made;
        made.sort();
        assert_eq!(made, ["left", "right", "top"], "{shared} is an input of those that name it");
    }

    let other = yard.builder().build(&pieces("1.1"), "top", soon()).await.unwrap();
    assert_eq!(other.made.len(), 4, "the version is an input");
    let mut painted = pieces("1.1");
    painted[3].parameters.insert("COLOUR".into(), "red".into());
    assert_eq!(yard.builder().build(&painted, "top", soon()).await.unwrap().made, ["top"]);
}

#[tokio::test]
async fn pieces_that_do_not_need_each_other_are_built_side_by_side() {
    let yard = Yard::new();
    // The two recipes wait for each other. Built one after the other, they would never end.
    let meet = yard.dir.path().display().to_string();
    for (side, other) in [("left", "right"), ("right", "left")] {
        let wait = format!("touch {meet}/{side}; until [ -e {meet}/{other} ]; do sleep 0.01; done");
        yard.recipe(side, &format!("{wait}; cp $NEED_LOW/file $OUT/file"));
    }
    yard.build().await.unwrap();
}

#[tokio::test]
async fn a_failing_recipe_names_its_log_and_leaves_nothing() {
    let yard = Yard::new();
    yard.recipe("right", "echo some > $OUT/file; echo 'right: the mirror is gone' >&2; exit 7");
    let error = yard.build().await.unwrap_err();
    let BuildError::Recipe { piece, how, tail, log } = &error else { panic!("{error:?}") };
    assert_eq!((piece.as_str(), how.as_str()), ("right", "exit status: 7"));
    assert_eq!(tail, "right: the mirror is gone");
    assert!(std::fs::read_to_string(log).unwrap().contains("the mirror is gone"));
    assert!(error.to_string().contains(&log.display().to_string()), "{error}");
    assert!(!yard.built().iter().any(|n| n.starts_with("right") || n.starts_with("top")));

    yard.recipe("right", "cp $NEED_LOW/file $OUT/file");
    assert!(yard.build().await.unwrap().made.contains(&"top".to_owned()));
    // The failed build may still be stopping `left`, which it was building.
    let limit = soon();
    while !names(&yard.cache().join("building")).is_empty() && !limit.is_over() {
        limit.pause(Duration::from_millis(5)).await;
    }
    assert_eq!(names(&yard.cache().join("building")), [""; 0]);
}

#[tokio::test]
async fn a_failure_next_door_never_leaves_half_of_a_result() {
    let yard = Yard::new();
    let done = yard.dir.path().join("done");
    let many = "for i in $(seq 300); do echo x > $OUT/f$i; done; cp $NEED_LOW/file $OUT/file";
    yard.recipe("left", &format!("{many}; touch {}", done.display()));
    // This recipe fails while the results of `left` are written to the disk, which takes a while.
    yard.recipe(
        "right",
        &format!("until [ -e {} ]; do sleep 0.01; done; sleep 0.03; exit 1", done.display()),
    );
    assert!(yard.build().await.is_err());
    yard.recipe("right", "cp $NEED_LOW/file $OUT/file");
    yard.build().await.unwrap();
    let left = yard.built().into_iter().find(|n| n.starts_with("left")).unwrap();
    assert_eq!(names(&yard.cache().join("built").join(left)).len(), 301);
}

#[tokio::test]
async fn a_full_disk_is_noticed_before_anything_is_begun() {
    let yard = Yard::new();
    let mut pieces = pieces("1.0");
    pieces[0].disk = u64::MAX / 2;
    let error = yard.builder().build(&pieces, "top", soon()).await.unwrap_err();
    assert!(matches!(error, BuildError::Space { .. }), "{error}");
    assert!(error.to_string().starts_with("building low 1.0, left, right, top needs about"), "{error}");
    assert_eq!(yard.built(), [""; 0]);
}

#[tokio::test]
async fn a_late_recipe_is_killed_and_says_what_it_did_last() {
    let yard = Yard::new();
    yard.recipe("low", "echo step: asking the mirror; sleep 60");
    let short = Deadline::after(Duration::from_millis(500));
    let error = yard.builder().build(&pieces("1.0"), "top", short).await.unwrap_err();
    assert!(matches!(&error, BuildError::Late { last, .. } if last.contains("asking the mirror")), "{error}");
    assert_eq!(names(&yard.cache().join("building")), [""; 0]);
}

/// A builder in its own process. The tests below start it in the yard's folder.
#[tokio::test]
#[ignore = "a child process of the tests in this file"]
async fn builder_process() {
    let (cache, recipes) = (PathBuf::from("cache"), PathBuf::from("recipes"));
    let (cache, recipes) = (std::path::absolute(cache).unwrap(), std::path::absolute(recipes).unwrap());
    let builder = Builder::new(&cache, &recipes, 2, Progress::silent());
    let built = builder.build(&pieces("1.0"), "top", soon()).await.unwrap();
    println!("made: {}", built.made.join(" "));
}

fn builder_process_in(yard: &Yard) -> Exec {
    Exec::new(std::env::current_exe().unwrap())
        .args(["--exact", "image_build::builder_process", "--ignored", "--nocapture"])
        .cwd(yard.dir.path())
}

async fn appears(file: &Path) {
    let limit = soon();
    while !file.exists() && !limit.is_over() {
        limit.pause(Duration::from_millis(5)).await;
    }
    assert!(file.exists(), "{} never came", file.display());
}

#[tokio::test]
async fn a_killed_builder_leaves_nothing_finished_and_the_next_one_completes() {
    let yard = Yard::new();
    let begun = yard.dir.path().join("begun");
    let grandchild = "(while :; do mkdir -p $OUT; echo more >> $OUT/file; sleep 0.01; done) & touch";
    yard.recipe("right", &format!("{grandchild} {}; wait", begun.display()));
    let child = tokio::spawn(builder_process_in(&yard).run(soon()));
    appears(&begun).await;
    // Dropping the future kills the builder; its recipe is in a process group of its own.
    child.abort();
    assert!(child.await.unwrap_err().is_cancelled());
    // The builder has ended when the kernel has released its lock.
    let locks = yard.cache().join("locks");
    let right = names(&locks).into_iter().find(|n| n.starts_with("right")).unwrap();
    std::fs::File::open(locks.join(right)).unwrap().lock().unwrap();
    let left = names(&yard.cache().join("building"));
    assert!(left.iter().any(|n| n.starts_with("right-")), "{left:?}");
    assert!(!yard.built().iter().any(|n| n.starts_with("right") || n.starts_with("top")));

    yard.recipe("right", "cp $NEED_LOW/file $OUT/file");
    let built = yard.build().await.unwrap();
    assert!(built.made.contains(&"right".to_owned()) && !built.made.contains(&"low".to_owned()));
    assert!(yard.saw("removed the files of an interrupted build in"), "{:?}", yard.seen);
    assert_eq!(names(&yard.cache().join("building")), [""; 0]);
}

#[tokio::test]
async fn two_processes_at_once_build_once() {
    let yard = Yard::new();
    let begun = yard.dir.path().join("begun");
    yard.recipe("low", &format!("[ ! -e {0} ]; touch {0}; sleep 1; echo low > $OUT/file", begun.display()));
    let child = tokio::spawn(builder_process_in(&yard).run(soon()));
    appears(&begun).await;
    // Low fails the second time it is run.
    let ours = yard.build().await.unwrap();
    let theirs = child.await.unwrap().unwrap().stdout;
    assert!(!ours.made.contains(&"low".to_owned()) && theirs.contains("made: low"), "{theirs}");
    let made =
        ours.made.len() + theirs.lines().find(|l| l.starts_with("made:")).unwrap().split(' ').count() - 1;
    assert_eq!(made, 4, "{ours:?} {theirs}");
    assert!(yard.saw(", which builds low 1.0"), "{:?}", yard.seen);
}

#[tokio::test]
async fn results_of_older_recipes_are_removed_after_a_while_without_use() {
    let yard = Yard::new();
    let old = yard.build().await.unwrap();
    std::fs::write(yard.recipes().join("left/extra"), "x").unwrap();
    let new = yard.build().await.unwrap();
    let builder = yard.builder();
    let day = Duration::from_secs(24 * 3600);
    let current = [pieces("1.0")];
    let outdated = |unused| builder.outdated(&current, unused).unwrap();
    let folders = |unused| outdated(unused).into_iter().map(|o| o.folder).collect::<Vec<_>>();
    assert_eq!(folders(day), [""; 0], "all of it was used today");
    let age = |dir: &Path, days: u32| {
        std::fs::File::open(dir).unwrap().set_modified(std::time::SystemTime::now() - day * days).unwrap();
    };
    for name in yard.built() {
        age(&yard.cache().join("built").join(name), 20);
    }
    // Results of the present recipes stay, however old. `low` and `right` are the same in both.
    let gone = folders(day * 14);
    assert_eq!(gone.len(), 2, "{gone:?}");
    assert!(gone.iter().any(|f| old.dir.ends_with(f)) && !gone.iter().any(|f| new.dir.ends_with(f)));

    // A program with the old recipes marks its results as used by using them.
    let (one, other) = (outdated(day * 14).remove(0), outdated(day * 14).remove(1));
    age(&yard.cache().join("built").join(&one.folder), 0);
    assert!(!builder.remove(&one).await.unwrap(), "used since it was looked at");
    assert_eq!(folders(day * 14), [other.folder.as_str()]);
    builder.use_now(&pieces("1.0")).unwrap();
    assert!(new.dir.metadata().unwrap().modified().unwrap().elapsed().unwrap() < day);

    assert!(builder.remove(&other).await.unwrap());
    assert_eq!(folders(Duration::ZERO), [one.folder.as_str()]);
    assert_eq!(yard.built().len(), 5);
    assert_eq!(names(&yard.cache().join("building")), [""; 0]);
}

#[tokio::test]
async fn nothing_is_removed_while_another_process_builds() {
    let yard = Yard::new();
    yard.build().await.unwrap();
    let (begun, go) = (yard.dir.path().join("begun"), yard.dir.path().join("go"));
    let wait = format!("touch {}; until [ -e {} ]; do sleep 0.01; done", begun.display(), go.display());
    yard.recipe("right", &format!("{wait}; cp $NEED_LOW/file $OUT/file"));
    let builder = yard.builder();
    let before = builder.outdated(&[pieces("1.0")], Duration::ZERO).unwrap();
    assert_eq!(before.len(), 2, "right and top are outdated: {before:?}");
    let child = tokio::spawn(builder_process_in(&yard).run(soon()));
    appears(&begun).await;
    assert_eq!(builder.outdated(&[pieces("1.0")], Duration::ZERO).unwrap(), []);
    assert!(!builder.remove(&before[0]).await.unwrap(), "removed beside a build");
    std::fs::write(&go, "").unwrap();
    child.await.unwrap().unwrap();
    assert!(builder.remove(&before[0]).await.unwrap());
}

/// Only its folder leads to the image. If the folder were removed first and the engine refused, two gigabytes would
/// stay for ever.
#[tokio::test]
async fn an_image_that_could_not_be_pruned_is_tried_again() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    ground.fake.state().containers.clear();
    let folder = ground.settings.cache.join("built/node-1.30.0-0123456789abcdef");
    std::fs::create_dir_all(&folder)?;
    std::fs::create_dir_all(ground.settings.cache.join("locks"))?;
    let name = "seatrial.local/node:v1.30.0-0123456789abcdef";
    ground.fake.state().images.insert(name.into(), BTreeMap::new());
    ground.fake.trouble("DELETE /images", Trouble::Status(500, "busy"), 1);
    let engine = ground.fake.client().await?;
    let first = image::prune(&ground.settings, &engine, Duration::ZERO, false).await;
    assert!(first.is_err() && folder.exists(), "{first:?}");
    let again = image::prune(&ground.settings, &engine, Duration::ZERO, false).await?;
    let asked = ground.fake.changes().iter().filter(|r| r.starts_with("DELETE /images")).count();
    assert!(asked == 2 && !folder.exists(), "{again:?}");
    Ok(())
}
