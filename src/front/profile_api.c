/* profile_api.c - the names of <cairn/profile.h>. */
#include "cairn/profile.h"

#include "front/process.h"
#include "observe/profile.h"
#include "os/os.h"

#include <errno.h>

int cairn_profile_start(size_t interval)
{
    process_start();
    switch (profile_start(&process_heap, interval != 0 ? interval : CAIRN_PROFILE_INTERVAL)) {
    case PROFILE_STARTED: return 0;
    case PROFILE_BUSY: (void)thread_fail(EBUSY, "another thread is at work in the profile"); break;
    case PROFILE_NO_PLACE: (void)thread_fail(ENOMEM, "the heap has too many observers"); break;
    }
    return -1;
}

void cairn_profile_stop(void)
{
    profile_stop(&process_heap);
}

int cairn_profile_on(void)
{
    return profile_is_on();
}

int cairn_profile_write(int fd, cairn_profile_format format)
{
    if (format != CAIRN_PROFILE_PPROF && format != CAIRN_PROFILE_TEXT) {
        (void)thread_fail(EINVAL, "there is no such format of profiles");
        return -1;
    }
    if (profile_write(fd, format == CAIRN_PROFILE_TEXT ? PROFILE_TEXT : PROFILE_PPROF))
        return 0;
    (void)thread_fail(os_errno_get(), "the profile could not be written");
    return -1;
}
