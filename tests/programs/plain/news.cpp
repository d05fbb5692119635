// news.cpp - operator new as the standard has it: the new-handler first, then std::bad_alloc; NULL from nothrow.
#include <cstdio>
#include <memory>
#include <new>
#include <string>

static int handled;

static void handler()
{
    if (++handled % 2 == 0)
        throw std::bad_alloc();
}

int main(int argc, char **)
{
    int caught = 0, nulls = 0;
    if (argc > 1)
        std::set_new_handler(handler);
    for (int i = 0; i < 10; i++) {
        try {
            std::string text(1000, 'x');
            auto numbers = std::make_unique<int[]>(100);
            struct alignas(128) wide {
                char bytes[128];
            };
            auto aligned = std::make_unique<wide>();
            numbers[99] = text[999];
        } catch (const std::bad_alloc &) {
            caught++;
        }
        int *one = new (std::nothrow) int(7);
        nulls += one == nullptr;
        delete one;
    }
    std::printf("caught %d, null %d, handled %d\n", caught, nulls, handled);
    return caught + nulls > 0 ? 3 : 0;
}
