//! Completions and man pages, made from the command line's own definitions.

use crate::cli::Home;

#[tokio::test]
async fn completions_and_man_pages_name_commands_and_choices() {
    let home = Home::new();
    let dir = home.dir.path().join("generated");
    let ended = home.seatrial(&["generate", &dir.display().to_string()]).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    for file in ["seatrial.bash", "_seatrial", "seatrial.fish"] {
        let text = std::fs::read_to_string(dir.join("completions").join(file)).expect("completions");
        for word in ["merge", "stateless", "markdown", "three-defaults"] {
            assert!(text.contains(word), "{word} is not in {file}");
        }
    }
    let page = |name: &str| std::fs::read_to_string(dir.join("man").join(name));
    let merge = page("seatrial-merge.1").expect("a page for each command");
    assert!(merge.contains("expect") && merge.contains(".TH seatrial"), "{merge}");
    assert!(page("seatrial.1").expect("a page of the program").contains("Exit codes"));
    assert!(page("seatrial-fault-hold.1").is_err(), "a hidden command has no page");
    let file = dir.join("man").join("seatrial.1").display().to_string();
    let ended = home.seatrial(&["generate", &file]).await;
    assert!(ended.code == 73 && ended.err.contains("failed to write"), "{} {}", ended.code, ended.err);
}
