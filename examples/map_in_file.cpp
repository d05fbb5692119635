// map_in_file.cpp - a std::map of strings to vectors in a file: standard containers, made once and found again.
//
//     map_in_file FILE         adds a visit for each of some names, and shows all visits so far
//
// Containers take cairn::pool_allocator, whose pointers (cairn::offset_ptr) are distances.  std::map itself links its nodes by
// plain pointers, so this pool opens where it was made; see <cairn/offset_ptr.h> for what opens anywhere.
#include <cairn/offset_ptr.h>
#include <cerrno>
#include <iostream>
#include <map>
#include <string>
#include <vector>

using text = std::basic_string<char, std::char_traits<char>, cairn::pool_allocator<char>>;
using visits = std::vector<int, cairn::pool_allocator<int>>;
using book = std::map<text, visits, std::less<>, cairn::pool_allocator<std::pair<const text, visits>>>;

namespace {

cairn_pool *open_or_make(const char *path)
{
    cairn_file_config config = {};
    config.struct_size = sizeof config;
    config.layout = "example map 1";
    cairn_pool *pool = cairn_pool_open(path, &config);
    if (pool == nullptr && errno == ENOENT) {
        config.size = std::size_t{4} << 20;
        pool = cairn_pool_create_at(path, &config);
    }
    return pool;
}

void visit(book &all, const std::string &name, int number)
{
    text key(name.data(), name.size(), all.get_allocator());
    auto at = all.find(key);
    if (at == all.end())
        at = all.emplace(key, visits(all.get_allocator())).first;
    at->second.push_back(number);
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 2) {
        std::cerr << "usage: map_in_file FILE\n";
        return 2;
    }
    cairn_pool *pool = open_or_make(argv[1]);
    if (pool == nullptr) {
        std::cerr << "map_in_file: " << cairn_errormsg() << '\n';
        return 1;
    }
    auto *all = static_cast<book *>(cairn_pool_root(pool));
    if (all == nullptr)
        cairn_pool_set_root(pool, all = cairn::make<book>(pool));

    int number = 1;
    for (const auto &[name, seen] : *all)
        number = std::max(number, seen.back() + 1);
    visit(*all, "the hill behind the village", number);
    visit(*all, "the second stone from the left, which is the larger one", number);
    if (number % 2 == 0)
        visit(*all, "every other time", number);

    for (const auto &[name, seen] : *all) {
        std::cout << name << ':';
        for (int n : seen)
            std::cout << ' ' << n;
        std::cout << '\n';
    }
    if (cairn_pool_close(pool) != 0) {
        std::cerr << "map_in_file: " << cairn_errormsg() << '\n';
        return 1;
    }
    return 0;
}
