//! Files in containers that run, are paused, are stopped: one answer.

use std::time::{Duration, Instant};

use seatrial::engine::{Engine, EngineError, Power};

use crate::box_container::{POLITE, soon, with_box};

const TREE: &str = "
mkdir -p /mnt/data/mysql/deep/er '/mnt/data/a	name' /var/lib/app /run/app
echo '[auto]
server-uuid=1234' > /mnt/data/auto.cnf
echo row > /mnt/data/mysql/t.ibd; echo x > /mnt/data/mysql/deep/er/file
ln -s auto.cnf /mnt/data/link; ln -s /none /mnt/data/dangling; ln -s /mnt/data /mnt/link
ln -s /mnt/link /mnt/link2; ln -s /run /mnt/memory
echo v > /var/lib/app/file; echo s > /run/app/file
chown 27:27 /mnt/data/auto.cnf
ln /mnt/data/mysql/t.ibd /mnt/data/mysql/t2.ibd
dd if=/dev/zero of=/mnt/data/ibdata1 bs=1M count=12 2>/dev/null
";

#[tokio::test]
async fn a_folder_lists_the_same_in_every_state() -> anyhow::Result<()> {
    with_box(POLITE, |engine, name| async move {
        engine.exec_ok(&name, &["sh", "-c", TREE], None, soon()).await?;
        let running = everything(&engine, &name).await?;
        let text = format!("{running:#?}");
        let paths: Vec<&str> = running[0].iter().flatten().map(|e| e.path.as_str()).collect();
        let two_deep = [
            "a\tname/",
            "auto.cnf",
            "dangling",
            "ibdata1",
            "link",
            "mysql/",
            "mysql/deep/",
            "mysql/t.ibd",
            "mysql/t2.ibd",
        ];
        assert_eq!(paths, two_deep);
        let auto = &running[0].as_ref().unwrap()[1];
        assert_eq!((auto.uid, auto.mode, auto.size), (27, 0o644, 24), "{text}");
        let sums: Vec<bool> = running[0].iter().flatten().map(|e| e.sha256.is_some()).collect();
        assert_eq!(
            sums,
            [false, true, false, false, false, false, false, true, true],
            "small files only: {text}"
        );
        let link = engine.inspect(&name, "/mnt/link2/", 2).await?.and_then(|l| l.link);
        assert_eq!(link.as_deref(), Some("/mnt/data"));
        assert_eq!(engine.inspect(&name, "/mnt/data", 2).await?.and_then(|l| l.link), None);
        assert_eq!(running[0].as_ref().unwrap()[4].link.as_deref(), Some("auto.cnf"));
        assert_eq!(running[0], running[1], "a link to a folder leads to it");
        assert_eq!(running[0], running[2], "a link to a link too");
        assert_eq!(running[3].as_ref().map(Vec::len), Some(1), "a volume, one deep: {text}");
        assert_eq!(running[4].as_ref().map(|e| e[0].path.as_str()), Some("auto.cnf"), "a file is itself");
        assert_eq!(running[5], None);
        assert_eq!(running[6], None, "a dangling link leads nowhere");
        assert!(running[7].as_ref().is_some_and(|e| e.iter().any(|e| e.path == "mnt/data/")), "{text}");

        engine.pause(&name).await?;
        assert_eq!(everything(&engine, &name).await?, running);
        engine.unpause(&name).await?;
        engine.stop(&name, Duration::from_secs(10)).await?;
        assert_eq!(everything(&engine, &name).await?, running);
        Ok(())
    })
    .await
}

/// Two levels of `/` differ in what the kernel shows (/proc, /sys, tmpfs), so only /mnt and /var
/// of it are kept.
async fn everything(
    engine: &Engine,
    name: &str,
) -> anyhow::Result<Vec<Option<Vec<seatrial::event::FileEntry>>>> {
    let mut all = Vec::new();
    for (path, depth) in [
        ("/mnt/data", 2),
        ("/mnt/link", 2),
        ("/mnt/link2/", 2),
        ("/var/lib", 1),
        ("/mnt/data/auto.cnf", 2),
        ("/mnt/none", 2),
        ("/mnt/data/dangling", 2),
    ] {
        all.push(engine.inspect(name, path, depth).await?.map(|l| l.entries));
    }
    let mut root = engine.list(name, "/", 2).await?.map(|l| l.entries);
    if let Some(entries) = &mut root {
        entries.retain(|e| e.path.starts_with("mnt/") || e.path.starts_with("var/"));
    }
    all.push(root);
    Ok(all)
}

/// A pipe has no end that reading would come to.
#[tokio::test]
async fn what_has_no_end_is_listed_and_not_read() -> anyhow::Result<()> {
    with_box(POLITE, |engine, name| async move {
        engine.exec_ok(&name, &["sh", "-c", "mkdir /mnt/odd; echo x > /mnt/odd/file"], None, soon()).await?;
        engine.exec_ok(&name, &["mkfifo", "/mnt/odd/pipe"], None, soon()).await?;
        let began = Instant::now();
        let running = engine.inspect(&name, "/mnt/odd", 2).await?.unwrap().entries;
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
        let names: Vec<(&str, bool)> = running.iter().map(|e| (&*e.path, e.sha256.is_some())).collect();
        assert_eq!(names, [("file", true), ("pipe", false)]);
        assert!(
            engine.inspect(&name, "/", 1).await?.is_some_and(|l| l.link.is_none()),
            "the root is a path too"
        );
        engine.stop(&name, Duration::from_secs(10)).await?;
        assert_eq!(engine.inspect(&name, "/mnt/odd", 2).await?.unwrap().entries, running);
        assert!(engine.inspect(&name, "/", 1).await?.is_some());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_file_reads_the_same_in_every_state() -> anyhow::Result<()> {
    with_box(POLITE, |engine, name| async move {
        engine.exec_ok(&name, &["sh", "-c", TREE], None, soon()).await?;
        for power in [Power::Running, Power::Paused, Power::Exited] {
            match power {
                Power::Paused => engine.pause(&name).await?,
                Power::Exited => engine.stop(&name, Duration::from_secs(1)).await?,
                _ => {}
            }
            let read = async |path: &str| engine.read_file(&name, path, 1000).await;
            for path in ["/mnt/data/auto.cnf", "/mnt/data/link", "/mnt/link2/auto.cnf"] {
                assert_eq!(read(path).await?.as_deref(), Some(&b"[auto]\nserver-uuid=1234\n"[..]), "{path}");
            }
            assert_eq!(read("/var/lib/app/file").await?.as_deref(), Some(&b"v\n"[..]));
            assert_eq!(read("/mnt/data/none").await?, None);
            assert_eq!(read("/mnt/data/dangling").await?, None);
            assert!(matches!(read("/mnt/data/ibdata1").await, Err(EngineError::TooMuch { .. })));
            assert!(read("/mnt/data").await.is_err(), "a folder is no file");
            for path in ["/run/app/file", "/mnt/memory/app/file"] {
                let memory = read(path).await;
                if power == Power::Running {
                    assert_eq!(memory?.as_deref(), Some(&b"s\n"[..]), "{path}");
                } else {
                    assert!(matches!(memory, Err(EngineError::NotVisible { .. })), "{path} {memory:?}");
                }
            }
            if power != Power::Running {
                for path in ["/run", "/run/app", "/mnt/memory", "/mnt/memory/app"] {
                    let listed = engine.list(&name, path, 1).await;
                    assert!(matches!(listed, Err(EngineError::NotVisible { .. })), "{path} {listed:?}");
                }
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_large_folder_of_a_stopped_container_is_listed_without_being_held() -> anyhow::Result<()> {
    with_box(POLITE, |engine, name| async move {
        let fill = "mkdir -p /mnt/data; dd if=/dev/zero of=/mnt/data/ibdata1 bs=1M count=200 2>/dev/null";
        engine.exec_ok(&name, &["sh", "-c", fill], None, soon()).await?;
        let began = Instant::now();
        assert_eq!(engine.list(&name, "/mnt/data", 1).await?.map(|l| l.entries.len()), Some(1));
        let running = began.elapsed();
        engine.stop(&name, Duration::from_secs(1)).await?;
        let (began, before) = (Instant::now(), peak()?);
        let listed = engine.list(&name, "/mnt/data", 1).await?.unwrap();
        assert_eq!(listed.entries[0].size, 200 << 20);
        let grown = peak()?.saturating_sub(before);
        eprintln!("running {running:?}, stopped {:?}, peak grew by {grown} kB", began.elapsed());
        assert!(grown < 50_000, "peak memory grew by {grown} kB");
        Ok(())
    })
    .await
}

/// The greatest resident size of this process so far, in KiB (proc(5), VmHWM). The kernel adds it up from counters of each
/// processor that are a little behind, so a later value may be a little smaller.
fn peak() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or_default();
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

#[tokio::test]
async fn a_huge_folder_is_listed_in_part_and_says_so() -> anyhow::Result<()> {
    with_box(POLITE, |engine, name| async move {
        let fill = "mkdir -p /mnt/data; cd /mnt/data; seq 60000 | xargs sh -c 'for n; do : > f$n; done' sh";
        engine.exec_ok(&name, &["sh", "-c", fill], None, soon()).await?;
        for stopped in [false, true] {
            if stopped {
                engine.stop(&name, Duration::from_secs(1)).await?;
            }
            let listed = engine.inspect(&name, "/mnt/data", 1).await?.unwrap();
            assert_eq!(listed.entries.len(), 50_000, "stopped: {stopped}");
            assert_eq!(listed.incomplete.as_deref(), Some("more than 50000 entries"));
            let summed = listed.entries.iter().filter(|e| e.sha256.is_some()).count();
            assert_eq!(summed, 4096, "stopped: {stopped}");
        }
        assert!(engine.inspect(&name, "/mnt/none", 1).await?.is_none());
        Ok(())
    })
    .await
}
