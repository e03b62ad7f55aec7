/*
 * Holds the namespaces of a pod until it is told to stop, and is the parent of
 * processes that lost theirs where a pod shares one PID namespace.
 *
 * `kubeadm upgrade` runs it once as `pause -v` and expects it to end well.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void stop(int sig)
{
	(void)sig;
	_exit(0);
}

static void reap(int sig)
{
	(void)sig;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-v") == 0) {
			puts("pause " VERSION " (seatrial)");
			return 0;
		}
	}

	/* PID 1 has no default actions: unhandled signals would be ignored. */
	struct sigaction on_stop = {.sa_handler = stop};
	struct sigaction on_child = {.sa_handler = reap, .sa_flags = SA_NOCLDSTOP};
	if (sigaction(SIGINT, &on_stop, NULL) || sigaction(SIGTERM, &on_stop, NULL) ||
	    sigaction(SIGCHLD, &on_child, NULL)) {
		perror("sigaction");
		return 1;
	}
	for (;;)
		pause();
}
